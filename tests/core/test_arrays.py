"""Arrays in files without a name: the values of arrays in memory, and nothing left behind."""

from pathlib import Path

import numpy as np

from leukoscope.core.arrays import GATHERED_AT_ONCE, gathered, mapped


def test_what_is_gathered_is_what_indexing_gives(tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(3 * GATHERED_AT_ONCE, 3, 2)).astype(np.float32)
    positions = np.flatnonzero(np.arange(len(features)) % 3)
    for views in (1, 3):
        np.testing.assert_array_equal(gathered(features, positions, views, tmp_path), features[positions, :views])


def test_a_mapped_array_begins_with_zeros_and_leaves_no_file(tmp_path: Path) -> None:
    array = mapped((5, 7), tmp_path / "scratch")
    assert (array.shape, array.dtype, array.any()) == ((5, 7), np.float32, False)
    array[:] = 1
    assert array.sum() == 35
    assert not list((tmp_path / "scratch").iterdir())
