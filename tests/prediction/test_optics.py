"""--scale: a factor, or two sizes of a pixel."""

from __future__ import annotations

import numpy as np
import pytest

from leukoscope.core.errors import DataError
from leukoscope.imaging.cell import find_cell
from leukoscope.prediction.pictures import at_native_scale, parse_scale
from tests.fixtures.raw_folders import drawn


@pytest.mark.parametrize(("text", "factor"), [("1", 1), ("1.5", 1.5), ("0.12/0.08", 1.5), ("0.05/0.1", 0.5)])
def test_a_scale_is_a_factor_or_two_sizes_of_a_pixel(text: str, factor: float) -> None:
    assert parse_scale(text) == pytest.approx(factor)


@pytest.mark.parametrize("text", ["", "large", "1/0", "0.1/", "0", "-1", "100", "nan", "inf", "1/2/3"])
def test_anything_else_is_one_clear_error(text: str) -> None:
    with pytest.raises(DataError, match="scale"):
        parse_scale(text)


def test_a_cell_of_coarser_optics_gets_its_size_back() -> None:
    cell = find_cell(drawn(1))
    coarser = at_native_scale(drawn(1), 0.5)
    assert coarser.shape == (225, 225, 3)
    back = find_cell(at_native_scale(coarser, 2.0))
    assert cell
    assert back
    assert back.area == pytest.approx(cell.area, rel=0.02)
    assert np.array(back.colour) == pytest.approx(cell.colour, abs=1.5)


def test_a_picture_of_native_optics_is_left_as_it_is() -> None:
    picture = drawn(1)
    assert at_native_scale(picture, 1.0) is picture
