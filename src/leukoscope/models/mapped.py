"""Arrays that grow with the number of images, kept in files that are mapped into memory.

The kernel can write such memory out and give it to others, as it cannot do with a process's own.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np

from leukoscope.arrays import take_room

GATHERED_AT_ONCE = 1024  # images


def mapped(shape: tuple[int, ...], folder: Path) -> np.ndarray:
    """A float32 array in a file without a name in `folder`, which goes with the array, also when the process dies."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        take_room(file, math.prod(shape) * np.dtype(np.float32).itemsize)
        return np.asarray(np.memmap(file, np.float32, "w+", shape=shape))


def gathered(features: np.ndarray, positions: np.ndarray, views: int, folder: Path) -> np.ndarray:
    """The first `views` of `features` [images, views, channels] at `positions`, mapped."""
    chosen = mapped((len(positions), views, features.shape[-1]), folder)
    for start in range(0, len(positions), GATHERED_AT_ONCE):
        part = slice(start, start + GATHERED_AT_ONCE)
        chosen[part] = features[positions[part], :views]
    return chosen
