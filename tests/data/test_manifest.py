"""What is measured of a picture, and what happens to those that cannot be read."""

import hashlib
import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import ndimage

from leukoscope.core.errors import DataError
from leukoscope.data.quality.manifest import SCHEMA, build_manifest, read_index, to_table
from leukoscope.imaging.cell import BACKGROUND, SIZEABLE
from tests.fixtures.raw_folders import Shot, drawn, encoded, sound_shots, write_raw


def discs(*centres_and_radii: tuple[int, int, int]) -> np.ndarray:
    """Discs of colour (200, 50, 100) on black, uint8 [120, 160, 3]."""
    picture = np.zeros((120, 160, 3), np.uint8)
    for x, y, radius in centres_and_radii:
        cv2.circle(picture, (x, y), radius, (200, 50, 100), cv2.FILLED)
    return picture


def measured(tmp_path: Path, picture: np.ndarray, suffix: str = ".bmp") -> pd.Series:
    images, bad = build_manifest(write_raw(tmp_path / "raw", [Shot(f"cell{suffix}", picture)]))
    assert not bad
    return images.iloc[0]


def test_a_row_says_what_the_picture_shows(tmp_path: Path) -> None:
    picture = discs((60, 50, 30))
    row = measured(tmp_path, picture)
    area = int(picture.any(axis=2).sum())
    assert row["sha256"] == hashlib.sha256(encoded(picture, ".bmp")).hexdigest()
    assert (row["width"], row["height"], row["cell_area"], row["cells"]) == (160, 120, area, 1)
    assert row["colour"] == pytest.approx([200, 50, 100])
    assert row["black"] == pytest.approx(1 - area / (160 * 120))


@pytest.mark.parametrize("seed", range(4))
def test_what_is_measured_is_what_plain_arithmetic_on_the_whole_picture_gives(tmp_path: Path, seed: int) -> None:
    picture = drawn(seed)
    picture[210:230, 215:235] = 0  # a hole in the cell
    picture[430:, 440:] = (0, 0, 200)  # dirt up to the picture's edge
    row = measured(tmp_path, picture)
    labels, _ = ndimage.label(picture.max(axis=2) > BACKGROUND, np.ones((3, 3)))
    areas = np.bincount(labels.ravel())[1:]
    cell = picture[labels == 1 + areas.argmax()]
    assert row["black"] == (picture == 0).all(axis=2).mean()
    assert (row["cell_area"], row["cells"]) == (areas.max(), (areas >= SIZEABLE * areas.max()).sum())
    assert row["colour"] == pytest.approx(cell.mean(axis=0))
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(float)
    fine = grey - ndimage.gaussian_filter(grey, 1, truncate=3)
    inside = ndimage.binary_erosion(labels == 1 + areas.argmax(), np.ones((7, 7)))
    assert row["grain"] == pytest.approx(fine[inside].std(), rel=1e-3)


def test_the_cell_is_the_largest_piece_and_dirt_is_no_second_cell(tmp_path: Path) -> None:
    large = int(discs((60, 50, 30)).any(axis=2).sum())
    dirty = measured(tmp_path / "dirty", discs((60, 50, 30), (140, 100, 4)))
    double = measured(tmp_path / "double", discs((60, 50, 30), (130, 90, 20)))
    assert (dirty["cell_area"], dirty["cells"]) == (large, 1)
    assert (double["cell_area"], double["cells"]) == (large, 2)
    assert dirty["phash"] == measured(tmp_path / "clean", discs((60, 50, 30)))["phash"]


def test_the_area_survives_jpeg(tmp_path: Path) -> None:
    lossless, jpeg = (measured(tmp_path / suffix, drawn(3), suffix)["cell_area"] for suffix in (".png", ".jpg"))
    assert jpeg == pytest.approx(lossless, rel=0.01)


def test_a_black_picture_has_no_cell(tmp_path: Path) -> None:
    row = measured(tmp_path, np.zeros((50, 50, 3), np.uint8))
    assert (row["cell_area"], row["cells"], row["grain"], row["black"], row["phash"]) == (0, 0, 0, 1, "0" * 16)


def test_the_table_keeps_its_types_through_parquet(tmp_path: Path) -> None:
    images, _ = build_manifest(write_raw(tmp_path / "raw", sound_shots()))
    pq.write_table(to_table(images.assign(group=images["subject"], duplicate_of=None)), tmp_path / "images.parquet")
    read = pd.read_parquet(tmp_path / "images.parquet")
    assert list(read.columns) == SCHEMA.names
    assert (read["label"].dtype, read["fold"].dtype, read["cells"].dtype) == ("Int8", "Int8", "int16")
    assert read["fold"].isna().all()
    assert read["duplicate_of"].isna().all()
    assert read["image_id"].is_monotonic_increasing
    assert read["colour"].str.len().eq(3).all()


def test_the_number_of_cores_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = write_raw(tmp_path / "raw", sound_shots())
    tables = []
    for cores in (1, 4):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        tables.append(build_manifest(raw)[0].drop(columns="portrait"))
    pd.testing.assert_frame_equal(*tables)


def test_unreadable_images_are_listed_with_their_reasons(tmp_path: Path) -> None:
    shots = sound_shots()
    shots[0] = shots[0]._replace(picture=b"")
    raw = write_raw(tmp_path / "raw", shots)
    (raw / "images" / shots[1].file).unlink()
    images, bad = build_manifest(raw)
    assert len(images) == len(shots) - 2
    assert {(image.file, image.reason) for image in bad} == {
        (shots[0].file, "empty file"),
        (shots[1].file, "no such file or directory"),
    }


def test_a_set_without_one_readable_image_gives_an_empty_table(tmp_path: Path) -> None:
    images, bad = build_manifest(write_raw(tmp_path / "raw", [Shot("a.png", b"no picture")]))
    assert (len(images), len(bad)) == (0, 1)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (None, "index.csv is missing: run dvc repro fetch"),
        ("", "not a readable CSV"),
        ("file,image_id\na.png,a\n", "no column set, fold, label, subject"),
        ("file,image_id,set,fold,label,subject\n", "lists no image"),
        ("file,image_id,set,fold,label,subject\na.png,a,train,0,ALL,1\n", "column label"),
        ("file,image_id,set,fold,label,subject\n" + 2 * "a.png,a,train,0,1,1\n", "lists a.png twice"),
        *(
            (
                f"file,image_id,set,fold,label,subject\na.png,a,train,0,1,1\n{file},b,train,0,1,1\n",
                f"lists {file}, which",
            )
            for file in ("../x.png", "a/../../x.png", "/etc/x.png", "C:/x.png")
        ),
    ],
)
def test_a_malformed_index_is_one_line(tmp_path: Path, index: str | None, message: str) -> None:
    if index is not None:
        (tmp_path / "index.csv").write_text(index)
    with pytest.raises(DataError) as error:
        read_index(tmp_path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
