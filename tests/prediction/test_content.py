"""What is not one cell on black is flagged, and one cell on black is not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from leukoscope.imaging.cell import find_cell
from leukoscope.imaging.framing import centre_frame
from leukoscope.prediction.content import content_flags
from tests.fixtures.raw_folders import drawn, encoded

FRAME = 300


def flags(picture: np.ndarray, frame: int = FRAME) -> tuple[str, ...]:
    return content_flags(picture, find_cell(picture), centre_frame(picture, frame))


def test_one_cell_on_black_has_no_flag() -> None:
    for seed in range(5):
        assert flags(drawn(seed)) == ()


def test_a_jpeg_s_ringing_is_no_flag() -> None:
    jpeg = cv2.imdecode(np.frombuffer(encoded(drawn(1), ".jpg", quality=75), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert flags(jpeg) == ()


@pytest.mark.parametrize("grey", [0, 10, 16])
def test_a_picture_without_a_cell_is_flagged(grey: int) -> None:
    assert flags(np.full((450, 450, 3), grey, np.uint8)) == ("no-cell",)


def test_two_cells_are_flagged_and_a_speck_of_dirt_is_not() -> None:
    assert flags(np.hstack([drawn(1), drawn(2)]), 900) == ("several-cells",)
    speck = drawn(1)
    speck[20:26, 20:26] = 200
    assert flags(speck) == ()


def test_a_cell_that_reaches_the_edge_is_flagged() -> None:
    picture = drawn(1)
    rows = np.flatnonzero(picture.any(axis=(1, 2)))
    assert flags(picture[rows[0] + 10 :], 450) == ("touches-edge",)


@pytest.mark.parametrize("background", [3, 120, 250])
def test_a_background_that_is_not_black_is_flagged(background: int) -> None:
    picture = drawn(1)
    picture[~picture.any(axis=2)] = background
    assert "background" in flags(picture)
    assert "touches-edge" not in flags(picture)


def test_a_cell_outside_the_centre_that_the_model_sees_is_flagged() -> None:
    aside = np.pad(drawn(1), ((0, 500), (0, 0), (0, 0)))
    assert flags(aside) == ("outside-frame",)
    assert flags(aside, 950) == ()


def test_a_small_picture_that_the_frame_pads_is_not_cut() -> None:
    picture = drawn(1)
    rows, columns = (np.flatnonzero(picture.any(axis=axes)) for axes in ((1, 2), (0, 2)))
    close = picture[rows[0] - 2 : rows[-1] + 3, columns[0] - 2 : columns[-1] + 3]
    assert flags(close) == ()
