"""A picture to score: its pixels, its name, and the hash of the file that it came from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from leukoscope.data.names import parse_uid
from leukoscope.data.reading import read_rgb
from leukoscope.errors import DataError


@dataclass(frozen=True)
class Picture:
    """uint8 [height, width, 3] RGB `pixels` under a `name`.

    `sha256` is that of the file's bytes, None where there was no file: only an equal file is then no longer noticed.
    """

    name: str
    pixels: np.ndarray
    sha256: str | None = None

    def __post_init__(self) -> None:
        pixels = self.pixels
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            raise DataError(
                f"{self.name}: a picture is uint8 [height, width, 3], RGB, and not {pixels.dtype} {list(pixels.shape)}"
            )


def decoded(data: bytes, name: str) -> Picture:
    """The picture in a file's bytes. Raises DataError, which calls it `name`, for what does not read."""
    return Picture(name, read_rgb(data, name), hashlib.sha256(data).hexdigest())


def subject_of(name: str) -> str | None:
    """The subject that a file's name carries, as C-NMC's do (UID_H4_1_2_hem); None for any other name."""
    try:
        known = parse_uid(PurePath(name).stem)
    except DataError:
        return None
    return known[0] if known else None
