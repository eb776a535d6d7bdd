"""One way to decode a picture, and one line for each that cannot be."""

import io
import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from leukoscope.core.errors import DataError
from leukoscope.imaging.reading import read_rgb
from tests.fixtures.raw_folders import encoded

PICTURE = np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)
WHOLE = {suffix: encoded(PICTURE, suffix) for suffix in (".bmp", ".png", ".jpg", ".tif")}


@pytest.mark.parametrize("suffix", [".bmp", ".png", ".tif"])
def test_lossless_formats_give_the_stored_rgb(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"cell{suffix}").write_bytes(WHOLE[suffix])
    read = read_rgb(tmp_path / f"cell{suffix}")
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, PICTURE)
    np.testing.assert_array_equal(read_rgb(WHOLE[suffix]), PICTURE)


KINDS = [
    *((mode, format_) for format_ in ("PNG", "TIFF") for mode in ("1", "L", "LA", "P", "RGB", "RGBA")),
    *((mode, "BMP") for mode in ("1", "L", "P", "RGB")),
    *((mode, "JPEG") for mode in ("L", "RGB")),
]


@pytest.mark.parametrize(("mode", "format_"), KINDS)
def test_every_kind_of_picture_is_what_pillow_shows_on_black(mode: str, format_: str) -> None:
    data = saved(mode, format_)
    shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")).astype(float)
    np.testing.assert_allclose(read_rgb(data), shown[..., :3] * shown[..., 3:] / 255, atol=1)


@pytest.mark.parametrize("suffix", [".bmp", ".png", ".jpg", ".tif"])
@pytest.mark.parametrize("stored", [".bmp", ".png", ".jpg", ".tif"])
def test_a_mislabelled_picture_is_read_by_what_it_is(tmp_path: Path, suffix: str, stored: str) -> None:
    (tmp_path / f"cell{suffix}").write_bytes(WHOLE[stored])
    np.testing.assert_array_equal(read_rgb(tmp_path / f"cell{suffix}"), read_rgb(WHOLE[stored]))


def test_alpha_is_composited_on_black() -> None:
    opacity = np.zeros((40, 50), np.uint8)
    opacity[:, 25:] = 255
    read = read_rgb(encoded(np.dstack([PICTURE, opacity]), ".png"))
    assert not read[:, :25].any()
    np.testing.assert_array_equal(read[:, 25:], PICTURE[:, 25:])


def test_sixteen_bits_are_scaled_to_eight() -> None:
    np.testing.assert_array_equal(read_rgb(encoded(PICTURE.astype(np.uint16) * 257, ".png")), PICTURE)


def test_an_exif_orientation_changes_nothing() -> None:
    plain, turned = io.BytesIO(), io.BytesIO()
    orientation = Image.Exif()
    orientation[0x0112] = 6
    Image.fromarray(PICTURE).save(plain, "JPEG")
    Image.fromarray(PICTURE).save(turned, "JPEG", exif=orientation)
    np.testing.assert_array_equal(read_rgb(turned.getvalue()), read_rgb(plain.getvalue()))


def claiming(width: int, height: int) -> bytes:
    return WHOLE[".bmp"][:18] + struct.pack("<ii", width, height) + WHOLE[".bmp"][26:]


def saved(mode: str, format_: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(PICTURE).convert(mode).save(out, format_)
    return out.getvalue()


BROKEN = {
    "nothing": (b"", "empty file"),
    "a web page": (b"<html>not found</html>", "not a picture"),
    **{f"half a {suffix}": (data[: len(data) // 2], "") for suffix, data in WHOLE.items()},
    **{f"a {suffix} without its last bytes": (data[:-20], "") for suffix, data in WHOLE.items()},
    "a BMP header alone": (WHOLE[".bmp"][:54], "cut off or damaged"),
    "a BMP that claims too much": (claiming(20_000, 20_000), "claims 20000x20000 pixels, more than 40 megapixels"),
    "a PNG that claims too much": (encoded(np.zeros((7000, 7000), np.uint8), ".png"), "claims 7000x7000 pixels"),
    "a BMP that claims 60,000 x 60,000": (claiming(60_000, 60_000), "claims 60000x60000 pixels"),
    "a BMP that claims less than nothing": (claiming(-50, 40), "cut off or damaged"),
    "CMYK": (saved("CMYK", "TIFF"), "CMYK"),
    "a CMYK JPEG": (saved("CMYK", "JPEG"), "CMYK"),
    "floating point": (cv2.imencode(".tif", PICTURE[:, :, 0].astype(np.float32))[1].tobytes(), "float32"),
}


@pytest.mark.parametrize(("data", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_named_with_the_reason_in_one_line(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "cell.img").write_bytes(data)
    with pytest.raises(DataError) as error:
        read_rgb(tmp_path / "cell.img")
    assert "cell.img: " in str(error.value)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png: no such file"):
        read_rgb(tmp_path / "gone.png")


def test_a_pipe_and_a_device_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "cell.png")
    for path in (tmp_path / "cell.png", Path("/dev/zero")):
        with pytest.raises(DataError, match=rf"{path}: not a file; take it out"):
            read_rgb(path)


def test_a_file_that_is_larger_than_any_picture_is_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "cell.bmp").open("wb") as file:
        file.write(WHOLE[".bmp"])
        file.truncate(4_000_000_000)  # sparse: it takes no room
    with pytest.raises(DataError, match=r"cell\.bmp: more than 321 MB"):
        read_rgb(tmp_path / "cell.bmp")
