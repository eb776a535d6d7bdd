"""Arrays in files that are mapped into memory, with their room on the disk taken beforehand.

A write into a mapped file whose disk is full kills the process (SIGBUS) without a word; taking the room first is an
OSError instead, before anything is written.
"""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import DTypeLike


def new_array(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> np.memmap:
    """A new .npy file of zeros, mapped for writing. Raises OSError (ENOSPC) where the disk has no room for it."""
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    with path.open("r+b") as file:
        take_room(file, path.stat().st_size)
    return array


def take_room(file: BinaryIO, size: int) -> None:
    """Make `file` have its first `size` bytes on the disk. Raises OSError (ENOSPC) where there is no room."""
    if size and hasattr(os, "posix_fallocate"):  # macOS has none, and reserves no room for mapped files
        os.posix_fallocate(file.fileno(), 0, size)


def mapped(shape: tuple[int, ...], folder: Path) -> np.ndarray:
    """A float32 array in a file without a name in `folder`, which goes with the array, also when the process dies."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        take_room(file, math.prod(shape) * np.dtype(np.float32).itemsize)
        return np.asarray(np.memmap(file, np.float32, "w+", shape=shape))
