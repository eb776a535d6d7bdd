"""Arrays in files without a name: zeros at first, and nothing left behind."""

from pathlib import Path

import numpy as np

from leukoscope.core.arrays import mapped


def test_a_mapped_array_begins_with_zeros_and_leaves_no_file(tmp_path: Path) -> None:
    array = mapped((5, 7), tmp_path / "scratch")
    assert (array.shape, array.dtype, array.any()) == ((5, 7), np.float32, False)
    array[:] = 1
    assert array.sum() == 35
    assert not list((tmp_path / "scratch").iterdir())
