"""Packed arrays: every image decoded once, framed and resized, as memory-mapped uint8.

The frame rule is the saved model's too (`leukoscope.models.framing`): the centre `frame` pixels at native scale, black
where the picture is smaller, never enlarged; then a bilinear resize with half-pixel centres and rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from leukoscope.arrays import new_array
from leukoscope.atomic import new_folder
from leukoscope.data.reading import read_rgb
from leukoscope.errors import DataError
from leukoscope.paths import inside
from leukoscope.progress import progress

Pack = tuple[int, int]  # frame, size


def frame_and_resize(picture: np.ndarray, frame: int, size: int) -> np.ndarray:
    """The centre `frame` x `frame` pixels of a uint8 [height, width, 3] picture, as uint8 [size, size, 3]."""
    framed = centre_frame(picture, frame)
    if frame == size:
        return framed
    resized = cv2.resize(framed.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    return np.rint(resized).astype(np.uint8)


def centre_frame(picture: np.ndarray, frame: int) -> np.ndarray:
    """The centre `frame` x `frame` pixels, with black beyond the picture's edge."""
    out = np.zeros((frame, frame, 3), np.uint8)
    rows, columns = (centred(length, frame) for length in picture.shape[:2])
    out[rows[1], columns[1]] = picture[rows[0], columns[0]]
    return out


def centred(length: int, frame: int) -> tuple[slice, slice]:
    """Where a picture's side of `length` pixels meets the centre `frame` pixels: there, and within the frame."""
    margin = (frame + 1) // 2
    start = (length + 2 * margin - frame) // 2 - margin
    first, last = max(start, 0), min(start + frame, length)
    return slice(first, last), slice(first - start, last - start)


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
            picture = read_rgb(inside(raw / "images", file))
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
