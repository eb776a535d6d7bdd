"""What a version knows of its training cells: flags outside their range, and pictures that it has seen."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from leukoscope.artifacts.training_cells import TRAINING_FILE, TrainingCells, fingerprint, read_training_cells
from leukoscope.core.errors import DataError
from leukoscope.imaging.cell import Cell, find_cell
from leukoscope.imaging.reading import decode
from tests.fixtures.raw_folders import drawn, encoded

ENDS = {"area": (10_000.0, 50_000.0), "red": (50.0, 100.0), "green": (20.0, 50.0), "blue": (60.0, 110.0)}


def cell_of(picture: np.ndarray) -> Cell:
    cell = find_cell(picture)
    assert cell
    return cell


def training(*pictures: np.ndarray) -> TrainingCells:
    cells = map(cell_of, pictures)
    return TrainingCells(
        ENDS, {"rate": 0.02, "n_subjects": 20}, 0.5, [fingerprint(cell.area, cell.colour) for cell in cells]
    )


def disc(radius: int, colour: tuple[int, int, int]) -> np.ndarray:
    picture = np.zeros((450, 450, 3), np.uint8)
    return cv2.circle(picture, (225, 225), radius, colour, -1)


@pytest.mark.parametrize(
    ("picture", "flags"),
    [
        (disc(90, (70, 30, 80)), ()),
        (disc(50, (70, 30, 80)), ("size",)),
        (disc(140, (70, 30, 80)), ("size",)),
        (disc(90, (120, 30, 80)), ("colour",)),
        (disc(90, (70, 60, 120)), ("colour",)),
        (disc(140, (70, 30, 200)), ("size", "colour")),
    ],
)
def test_a_cell_outside_the_training_range_is_flagged(picture: np.ndarray, flags: tuple[str, ...]) -> None:
    assert training().range_flags(cell_of(picture)) == flags


@pytest.mark.parametrize("suffix", [".bmp", ".png", ".tif"])
def test_a_training_picture_is_known_in_any_lossless_format(suffix: str) -> None:
    assert training(drawn(1)).shows(cell_of(decode(encoded(drawn(1), suffix))))


def test_a_training_picture_is_known_turned_mirrored_and_in_another_margin() -> None:
    known, picture = training(drawn(1)), drawn(1)
    for turns in range(4):
        assert known.shows(cell_of(np.ascontiguousarray(np.rot90(picture, turns))))
    assert known.shows(cell_of(np.ascontiguousarray(picture[:, ::-1])))
    assert known.shows(cell_of(np.pad(picture, ((75, 75), (20, 130), (0, 0)))))


def test_other_cells_are_not_taken_for_it() -> None:
    known = training(drawn(1))
    assert not any(known.shows(cell_of(drawn(seed))) for seed in range(2, 12))
    changed = drawn(1)
    changed[225, 225] += 1
    assert not known.shows(cell_of(changed))


def test_a_version_without_the_file_knows_nothing(tmp_path: Path) -> None:
    assert read_training_cells(tmp_path) is None


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    training(drawn(1)).write(tmp_path)
    assert read_training_cells(tmp_path) == training(drawn(1))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("[]", "no training cells"),
        ('{"range"', "no training cells"),
        ('{"range": {"area": [1, "x"]}, "unseen": {}, "prevalence": 0.5, "pictures": []}', r"range\.area\.1"),
        (
            '{"range": {"area": [1, 2]}, "unseen": {}, "prevalence": 0.5, "pictures": []}',
            "without blue, green, n_subjects",
        ),
    ],
)
def test_another_file_of_that_name_is_one_clear_line(content: str, why: str, tmp_path: Path) -> None:
    (tmp_path / TRAINING_FILE).write_text(content)
    with pytest.raises(DataError, match=why):
        read_training_cells(tmp_path)
