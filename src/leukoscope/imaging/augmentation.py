"""Table II as data: seeded draws, and the one warp that applies a draw.

The nine operations have the meaning of Keras's ImageDataGenerator: rotation, shift, shear and zoom are one affine map
about the picture's centre (in that order), the border repeats, then one channel shift for all three channels clipped
to the picture's own range, then the flips. Here the flips are folded into the affine map, so a picture is resampled
once. A draw is seeded by (seed, the image's sha256, view): it knows no split and no neighbour.

Beside Table II, and off unless asked for, a view may change the cell's stain and grain (`imaging.appearance`), between
the warp and the channel shift.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from leukoscope.imaging.appearance import change_appearance
from leukoscope.imaging.draws import Draw

# With a number on one side, which OpenCV's type stubs do not know.
_SATURATING: tuple[Callable[..., object], Callable[..., object]] = (cv2.add, cv2.subtract)


def source_of_target(parameters: Draw, side: int) -> np.ndarray:
    """The 2x3 map from a target pixel (x, y) to the source pixel that it shows.

    About the centre: rotation of (the shift and the shear of (the zoom of (the flips))).
    """
    angle, shear = math.radians(parameters.angle), math.radians(parameters.shear)
    cosine, sine = math.cos(angle), math.sin(angle)
    x = -parameters.zoom_x if parameters.flip_h else parameters.zoom_x
    y = -parameters.zoom_y if parameters.flip_v else parameters.zoom_y
    xx, xy = cosine * x, -math.sin(angle + shear) * y
    yx, yy = sine * x, math.cos(angle + shear) * y
    centre, shift_x, shift_y = side / 2 - 0.5, parameters.shift_x * side, parameters.shift_y * side
    from_x = centre + cosine * shift_x - sine * shift_y - (xx + xy) * centre
    from_y = centre + sine * shift_x + cosine * shift_y - (yx + yy) * centre
    return np.array([[xx, xy, from_x], [yx, yy, from_y]])


def apply_draw(picture: np.ndarray, parameters: Draw, *, keep_black: bool = False) -> np.ndarray:
    """Apply one draw to a square uint8 picture [size, size, 3]; returns the same shape and type.

    With `keep_black` the channel shift leaves pure-black pixels alone.
    """
    warped = _warped(picture, source_of_target(parameters, picture.shape[0]))
    change_appearance(warped, parameters)
    shift = round(parameters.channel_shift)
    if not shift:
        return warped
    black = ~warped.any(axis=-1) if keep_black else None
    _shift_channels(warped, shift)
    if black is not None:
        warped[black] = 0
    return warped


def _warped(picture: np.ndarray, source: np.ndarray) -> np.ndarray:
    """The picture resampled, its border repeated.

    OpenCV warps four channels in two thirds of three's time, and a border of one colour, such as the black around a
    cell, in half of what repeating the nearest pixel takes. The values are the same.
    """
    four = cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA)
    border = cv2.BORDER_CONSTANT if _has_rim_of_one_colour(four) else cv2.BORDER_REPLICATE
    warped = cv2.warpAffine(
        four,
        source,
        four.shape[1::-1],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=border,
        borderValue=four[0, 0].tolist(),
    )
    return cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB)


def _has_rim_of_one_colour(four: np.ndarray) -> bool:
    colours = four.view(np.uint32)[..., 0]
    last = max(1, len(colours) - 1)
    return bool((colours[::last] == colours[0, 0]).all() and (colours[:, ::last] == colours[0, 0]).all())


def _shift_channels(picture: np.ndarray, shift: int) -> None:
    """Move all values by `shift` grey levels, clipped to the range that they have, as Keras does. In place.

    OpenCV's sums stop at 0 and 255: moved on until the range's end meets one of them, and back again, they clip.
    """
    values = picture.reshape(len(picture), -1)
    up, down = _SATURATING
    on, back, beyond = (up, down, 255 - int(values.max())) if shift > 0 else (down, up, int(values.min()))
    on(values, beyond + abs(shift), dst=values)
    back(values, beyond, dst=values)
