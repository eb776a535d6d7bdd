"""A picture to score: its pixels, its name, its file's hash; and how other optics are brought to native scale."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePath

import cv2
import numpy as np

from leukoscope.core.errors import DataError
from leukoscope.data.sources.names import parse_uid
from leukoscope.imaging.reading import MAX_PIXELS, read_rgb


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


def decoded(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> Picture:
    """The picture in a file's bytes. Raises PictureError, which calls it `name`, for what does not read."""
    return Picture(name, read_rgb(data, name, max_pixels), hashlib.sha256(data).hexdigest())


def subject_of(name: str) -> str | None:
    """The subject that a file's name carries, as C-NMC's do (UID_H4_1_2_hem); None for any other name."""
    try:
        known = parse_uid(PurePath(name).stem)
    except DataError:
        return None
    return known[0] if known else None


LIMITS = (0.05, 20.0)


def parse_scale(text: str) -> float:
    """The factor that `--scale` names: a number ("1.5"), or two sizes of a pixel, yours and training's ("0.12/0.08").

    Raises DataError for anything else, and for a factor outside 0.05 to 20.
    """
    ours, two, theirs = text.partition("/")
    try:
        factor = float(ours) / (float(theirs) if two else 1)
    except (ValueError, ZeroDivisionError):
        raise DataError(
            f"--scale {text}: give a factor such as 1.5, or your micrometres per pixel over those of the training "
            f"pictures such as 0.12/0.08"
        ) from None
    return check_scale(round(factor, 6))


def check_scale(factor: float) -> float:
    """The factor itself. Raises DataError where it is outside 0.05 to 20, or no number."""
    if not LIMITS[0] <= factor <= LIMITS[1]:
        raise DataError(f"a scale of {factor:g} is outside {LIMITS[0]:g} to {LIMITS[1]:g}")
    return factor


def at_native_scale(pixels: np.ndarray, factor: float) -> np.ndarray:
    """The picture uint8 [height, width, 3] enlarged by `factor`: by areas where it shrinks, cubic where it grows."""
    if factor == 1:
        return pixels
    size = tuple(max(1, round(length * factor)) for length in pixels.shape[1::-1])
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
