"""Pictures of other optics, brought to the scale of the training pictures before the model, which never rescales."""

from __future__ import annotations

import cv2
import numpy as np

from leukoscope.errors import DataError

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
