"""The complete list of C-NMC 2019, and what it refuses."""

import os
from hashlib import sha256
from pathlib import Path

import pandas as pd
import pytest

from leukoscope.config.params import Fetch
from leukoscope.core.errors import DataError
from leukoscope.data.sources.catalogue import TABLE_I, is_complete, load_catalogue, verify
from leukoscope.data.sources.fetch import fetch
from leukoscope.data.sources.names import parse_path
from tests.fixtures.standin import picture_bytes


@pytest.fixture(scope="module")
def catalogue() -> pd.DataFrame:
    return load_catalogue()


def test_the_list_has_table_1_s_numbers(catalogue: pd.DataFrame) -> None:
    train = catalogue[catalogue["set"] == "train"]
    for label, subjects, images in ((1, "subjects_all", "images_all"), (0, "subjects_hem", "images_hem")):
        of_class = train[train["label"] == label]
        assert of_class["subject"].nunique() == getattr(TABLE_I["train"], subjects)
        assert len(of_class) == getattr(TABLE_I["train"], images)
    assert catalogue["set"].value_counts().to_dict() == {set_: row.images for set_, row in TABLE_I.items()}
    assert len(catalogue) == 15_114


def test_the_list_has_the_three_folds_of_c_nmc(catalogue: pd.DataFrame) -> None:
    counts = (
        catalogue.dropna(subset="fold").groupby(["fold", "label"]).agg(n=("path", "size"), s=("subject", "nunique"))
    )
    assert counts["n"].tolist() == [1130, 2397, 1163, 2418, 1096, 2457]
    assert counts["s"].tolist() == [9, 19, 3, 11, 14, 17]


def test_equal_hashes_mark_the_106_pairs(catalogue: pd.DataFrame) -> None:
    copies = catalogue["sha256"].value_counts()
    assert copies[copies > 1].tolist() == [2] * 106


def test_names_say_what_the_list_says(catalogue: pd.DataFrame) -> None:
    names = [parse_path(path) for path in catalogue["path"]]
    for column in ("set", "fold", "label", "subject"):
        said = pd.Series([getattr(name, column) for name in names], dtype=catalogue[column].dtype)
        pd.testing.assert_series_equal(said, catalogue[column], check_names=False)
    assert catalogue["image_id"].is_unique
    assert (catalogue["subject"] == "H3").sum() == 36


def test_one_name_missing_or_other_is_not_complete(catalogue: pd.DataFrame) -> None:
    ids = catalogue["image_id"].tolist()
    assert is_complete(ids)
    assert not is_complete(ids[1:])
    assert not is_complete([*ids[1:], "UID_99_1_1_all"])
    assert not is_complete([*ids[1:], ids[1]])


@pytest.fixture
def five_files(tmp_path: Path) -> tuple[list[tuple[str, Path]], pd.DataFrame]:
    """Five files, and a list of the first four."""
    images, rows = [], []
    for number in range(5):
        file, content = tmp_path / f"{number}.bmp", picture_bytes(str(number))
        file.write_bytes(content)
        images.append((f"image-{number}", file))
        rows.append((f"image-{number}", len(content), sha256(content).hexdigest()))
    return images, pd.DataFrame(rows[:4], columns=["image_id", "bytes", "sha256"])


def test_listed_bytes_match_and_other_names_are_counted(five_files: tuple) -> None:
    images, listed = five_files
    answer = verify(images, catalogue=listed)
    assert (answer.matched, answer.unknown, answer.mismatched) == (4, 1, ())


def test_one_changed_byte_is_an_error_that_names_the_file(five_files: tuple) -> None:
    images, listed = five_files
    changed = bytearray(images[2][1].read_bytes())
    changed[-1] ^= 1
    images[2][1].write_bytes(changed)
    with pytest.raises(
        DataError, match=r"^1 of 4 files differ from C-NMC 2019's SHA-256 list: 2\.bmp; fetch these again"
    ):
        verify(images, catalogue=listed)


def test_many_mismatches_are_counted_and_the_first_named(five_files: tuple) -> None:
    images, listed = five_files
    with pytest.raises(DataError, match=r"^4 of 4 files .*: 0\.bmp, 1\.bmp, 2\.bmp, \.\.\.;"):
        verify(images, catalogue=listed.assign(sha256="0" * 64))


def test_re_encoded_images_are_told_that_they_cannot_be_verified(tmp_path: Path) -> None:
    file = tmp_path / "UID_11_10_1_all.png"
    file.write_bytes(picture_bytes("a"))
    with pytest.raises(DataError, match=r"re-encoded images .* cannot be verified; set fetch\.verify: false"):
        verify([("UID_11_10_1_all", file)])


def test_an_edited_labels_file_is_a_mismatch(tmp_path: Path, five_files: tuple) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("Patient_ID,new_names,labels\nUID_57_29_1_all.bmp,1.bmp,1\n")
    with pytest.raises(DataError, match=r"labels\.csv; fetch these again"):
        verify(five_files[0], labels, catalogue=five_files[1])


if "LEUKOSCOPE_CNMC" in os.environ:  # a folder of C-NMC 2019's BMP files, all of them or some

    def test_real_images_have_the_listed_bytes(tmp_path: Path) -> None:
        real = Fetch(source="folder", name="cnmc", path=Path(os.environ["LEUKOSCOPE_CNMC"]), verify=True)
        summary = fetch(real, tmp_path / "raw")
        assert summary.verified is not None
        assert summary.verified.matched == summary.images > 0
