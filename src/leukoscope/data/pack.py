"""Packed arrays: every image decoded once, framed and resized, as memory-mapped uint8.

The frame rule is the saved model's too (`leukoscope.imaging.framing`): the centre `frame` pixels at native scale, black
where the picture is smaller, never enlarged; then a bilinear resize with half-pixel centres and rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from leukoscope.core.arrays import new_array
from leukoscope.core.checkout import IMAGE_FILES
from leukoscope.core.errors import DataError
from leukoscope.core.files import new_folder
from leukoscope.core.paths import inside
from leukoscope.core.progress import progress
from leukoscope.imaging.framing import frame_and_resize
from leukoscope.imaging.reading import read_rgb

Pack = tuple[int, int]  # frame, size


def pack_images(images: pd.DataFrame, raw: Path, packs: Sequence[Pack], folder: Path) -> None:
    """Write `folder`/<frame>-<size>.npy [images, size, size, 3] for each pack, in the order of `images`.

    Decoding and resizing run on all cores, and memory holds a few pictures only: the arrays are written through
    memory maps. Raises DataError for an image that no longer decodes.
    """
    with new_folder(folder) as part:
        arrays = {
            (frame, size): new_array(part / pack_name(frame, size), np.uint8, (len(images), size, size, 3))
            for frame, size in packs
        }

        def pack_one(position: int, file: str) -> None:
            picture = read_rgb(inside(raw / IMAGE_FILES.name, file))
            for (frame, size), array in arrays.items():
                array[position] = frame_and_resize(picture, frame, size)

        with ThreadPoolExecutor() as pool, progress("packing", len(images), "images") as advance:
            for _ in pool.map(pack_one, range(len(images)), images["file"]):
                advance(1)
        for array in arrays.values():
            array.flush()
        images[["image_id", "sha256"]].to_csv(part / "index.csv", index=False)


def pack_name(frame: int, size: int) -> str:
    """The file name of a packed array."""
    return f"{frame}-{size}.npy"


def open_pack(folder: Path, frame: int, size: int) -> np.ndarray:
    """The packed array, memory-mapped and read-only. Raises DataError if it was not packed."""
    path = folder / pack_name(frame, size)
    if not path.exists():
        raise DataError(f"{path} is missing: run dvc repro pack")
    return np.load(path, mmap_mode="r")
