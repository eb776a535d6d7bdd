"""Whatever is fed to what reads strangers' input: an answer that makes sense, or one line that says what is wrong.

`make fuzz` tries ten times as many examples a round, and others every time.
"""

from __future__ import annotations

import io
import math
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from leukoscope.config.params import Params, load_params
from leukoscope.core.errors import ConfigError, DataError, LeukoscopeError, message
from leukoscope.data.sources.archives import unpack
from leukoscope.data.sources.label_files import is_listing, is_prelim, read_listing, read_prelim
from leukoscope.data.sources.names import SETS, parse_path
from leukoscope.imaging.reading import MAX_PIXELS, read_rgb

many = settings(max_examples=10 * settings.default.max_examples)  # type: ignore[union-attr]  # conftest loads a profile


def answer_or_line(read: Callable[[], Any], error: type[LeukoscopeError] = DataError) -> Any:
    """What `read` returns; None where it raises `error`, which must be shown as words in one line."""
    try:
        return read()
    except error as raised:
        said = message(raised)
    assert said.strip()
    assert all(line.isprintable() for line in said.splitlines())
    assert "\n" not in said or error is ConfigError
    return None


# --- names -----------------------------------------------------------------------------------------------------------

pieces = st.sampled_from(
    [
        "UID",
        "_",
        "H",
        "h",
        "all",
        "hem",
        "ALL",
        "fold",
        "fold_0",
        "fold-7",
        "prelim",
        "final",
        "train",
        "0",
        "4",
        "٣",
        "²",
    ]
)
words = st.one_of(st.text(max_size=8), st.lists(pieces, max_size=8).map("".join))
uids = st.from_regex(r"(?i)UID_H?\d{1,3}_\d_\d_(all|hem)", fullmatch=True)
paths = st.tuples(st.lists(words, max_size=4), st.one_of(words, uids), st.sampled_from([".bmp", ".PNG", "", "."])).map(
    lambda drawn: "/".join([*drawn[0], drawn[1] + drawn[2]])
)


@many
@given(path=paths, root=words)
def test_a_path_says_something_sound_or_nothing(path: str, root: str) -> None:
    name = answer_or_line(lambda: parse_path(path, root))
    if name is None:
        return
    assert name.set in SETS
    assert name.fold in (None, 0, 1, 2)
    assert (name.label is None) == (name.subject is None)
    if name.subject is not None:
        assert name.subject.startswith("H") == (name.label == 0)


# --- labels ----------------------------------------------------------------------------------------------------------

cells = st.one_of(
    st.sampled_from(
        ["file", "label", "subject", "Patient_ID", "new_names", "labels", "all", "hem", "1", "0", "1.bmp", "²"]
    ),
    st.sampled_from(["UID_4_1_1_all.bmp", "UID_H4_1_1_hem.bmp", "a/1.png", "../1.png", "/1.png", "..\\1.png", "p1"]),
    st.text(max_size=6),
)
headers = st.sampled_from([["file", "label", "subject"], ["Patient_ID", "new_names", "labels"]])
rows = st.tuples(st.one_of(headers, st.lists(cells, max_size=4)), st.lists(st.lists(cells, max_size=4), max_size=5))
tables = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda drawn, between, newline, encoding: newline.join(
            between.join(row) for row in [drawn[0], *drawn[1]]
        ).encode(encoding, errors="ignore"),
        rows,
        st.sampled_from([",", ";", "\t"]),
        st.sampled_from(["\n", "\r\n", "\r"]),
        st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    ),
)


@many
@given(content=tables)
def test_a_table_of_labels_gives_rows_or_names_its_line(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "labels.csv"
        table.write_bytes(content)
        answer_or_line(lambda: is_prelim(table))
        if answer_or_line(lambda: is_listing(table)):
            for listed in answer_or_line(lambda: read_listing(table)) or ():
                assert all(listed)
                assert not Path(listed.file).is_absolute()
                assert ".." not in Path(listed.file).parts
        elif answer_or_line(lambda: is_prelim(table)):
            for image_id, (subject, label) in (answer_or_line(lambda: read_prelim([table])) or {}).items():
                assert image_id.removeprefix("prelim-").isascii()
                assert subject.startswith("H") == (label == 0)


# --- pictures --------------------------------------------------------------------------------------------------------


def _encoded() -> list[bytes]:
    picture = np.random.default_rng(1).integers(0, 256, (24, 20, 3), np.uint8)
    files = [cv2.imencode(suffix, picture)[1].tobytes() for suffix in (".bmp", ".png", ".jpg", ".tif")]
    for mode, format_ in (("P", "PNG"), ("LA", "PNG"), ("1", "TIFF"), ("CMYK", "JPEG"), ("P", "GIF"), ("L", "BMP")):
        out = io.BytesIO()
        Image.fromarray(picture).convert(mode).save(out, format_)
        files.append(out.getvalue())
    return files


ENCODED = _encoded()
# What is overwritten, mostly near the start, where formats keep what matters; extreme numbers do most harm.
patches = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 80), st.integers(0, 3000)),
        st.one_of(
            st.binary(min_size=1, max_size=4),
            st.sampled_from([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\0\0\0\x80"]),
        ),
    ),
    max_size=4,
)


def patched(content: bytes, changes: list[tuple[int, bytes]], share: float) -> bytes:
    """The bytes with some overwritten, and cut off after a share of them."""
    out = bytearray(content)
    for at, value in changes:
        at %= len(out)
        out[at : at + len(value)] = value
    return bytes(out[: math.ceil(share * len(out))])


shares = st.one_of(st.just(1.0), st.floats(0, 1))


@settings(max_examples=4 * settings.default.max_examples)  # type: ignore[union-attr]  # some claim 40 megapixels
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged TIFF tags
@given(whole=st.sampled_from(ENCODED), changes=patches, share=shares)
def test_a_damaged_picture_is_a_picture_or_one_line(whole: bytes, changes: list, share: float) -> None:
    picture = answer_or_line(lambda: read_rgb(patched(whole, changes, share), "a picture"))
    if picture is not None:
        assert picture.dtype == np.uint8
        assert picture.ndim == 3
        assert picture.shape[2] == 3
        assert 0 < picture.shape[0] * picture.shape[1] <= MAX_PIXELS


# --- archives --------------------------------------------------------------------------------------------------------


def _archives() -> list[bytes]:
    members = {"set/all/1.bmp": ENCODED[0], "set/labels.csv": b"file,label,subject\n", "notes.txt": b"x" * 600}
    zipped, *tars = (io.BytesIO() for _ in range(3))
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    for out, mode in zip(tars, ("w", "w:gz"), strict=True):
        with tarfile.open(fileobj=out, mode=mode) as archive:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return [out.getvalue() for out in (zipped, *tars, _sparse())]


def _sparse() -> io.BytesIO:
    """A tar whose member says that it has holes: where they are stands in text before its bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info, content = tarfile.TarInfo("set/all/1.bmp"), b"1\n0\n512\n".ljust(512, b"\0") + bytes(512)
        info.size = len(content)
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "2000"}
        archive.addfile(info, io.BytesIO(content))
    return out


@many
@given(whole=st.sampled_from(_archives()), changes=patches, share=shares)
def test_a_damaged_archive_writes_nothing_outside_its_folder(whole: bytes, changes: list, share: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive, out = Path(folder) / "archive", Path(folder) / "below" / "out"
        archive.write_bytes(patched(whole, changes, share))
        answer_or_line(lambda: unpack(archive, out, "the archive"))
        outside = {path for path in Path(folder).rglob("*") if not path.is_relative_to(out)}
        assert outside == {archive, out.parent}


# --- params.yaml -----------------------------------------------------------------------------------------------------

names = st.sampled_from(
    [*(field.alias or name for name, field in Params.model_fields.items()), "a_row", "seed", "folds"]
)
plain = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.dates(), st.binary(max_size=3), names
)
keys = st.one_of(names, st.text(max_size=4), st.integers(0, 3))
values = st.recursive(
    plain, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=4)), max_leaves=12
)
files = st.one_of(
    st.binary(max_size=80),
    st.text(max_size=80).map(lambda text: text.encode(errors="ignore")),
    st.dictionaries(keys, values, max_size=6).map(lambda content: yaml.safe_dump(content).encode()),
    st.builds(
        lambda row, section, value: yaml.safe_dump({"models": {"a": row}, section: value}).encode(),
        values,
        names,
        values,
    ),
)


@many
@given(content=files)
def test_params_are_sound_or_every_mistake_has_a_line(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        path.write_bytes(content)
        params = answer_or_line(lambda: load_params(path), ConfigError)
        if params is not None:
            assert params.rows()
