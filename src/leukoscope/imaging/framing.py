"""The frame rule.

The centre `frame` pixels at native scale, black where the picture is smaller, never enlarged; then resized.
"""

from __future__ import annotations

import cv2
import numpy as np


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
