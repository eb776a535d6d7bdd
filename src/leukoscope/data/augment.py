"""Table II as data: seeded draws, and the one warp that applies a draw.

The nine operations have the meaning of Keras's ImageDataGenerator: rotation, shift, shear and zoom are one affine map
about the picture's centre (in that order), the border repeats, then one channel shift for all three channels clipped
to the picture's own range, then the flips. Here the flips are folded into the affine map, so a picture is resampled
once. A draw is seeded by (seed, the image's sha256, view): it knows no split and no neighbour.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd

from leukoscope import config


@dataclass(frozen=True)
class Draw:
    """One view's parameters. Shifts are shares of the side, angles are degrees, the channel shift is grey levels."""

    flip_h: bool = False
    flip_v: bool = False
    angle: float = 0.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    shear: float = 0.0
    zoom_x: float = 1.0
    zoom_y: float = 1.0
    channel_shift: float = 0.0


DRAW_COLUMNS = tuple(Draw.__dataclass_fields__)


def draw(settings: config.Augment, sha256: str, view: int) -> Draw:
    """The draw of `view` (1, 2, ...) of the image with this hash."""
    rng = np.random.default_rng([settings.seed, int(sha256[:16], 16), view])
    # All nine numbers are always drawn, so that changing one range leaves the other draws as they were.
    flip_h, flip_v, angle, shift_x, shift_y, shear, zoom_x, zoom_y, channel = rng.random(9)

    def within(unit: float, reach: float) -> float:
        return (2 * unit - 1) * reach

    return Draw(
        flip_h=bool(settings.horizontal_flip and flip_h < 0.5),
        flip_v=bool(settings.vertical_flip and flip_v < 0.5),
        angle=within(angle, settings.rotation),
        shift_x=within(shift_x, settings.width_shift),
        shift_y=within(shift_y, settings.height_shift),
        shear=within(shear, settings.shear),
        zoom_x=1 + within(zoom_x, settings.zoom),
        zoom_y=1 + within(zoom_y, settings.zoom),
        channel_shift=within(channel, settings.channel_shift),
    )


def draw_table(images: pd.DataFrame, settings: config.Augment, views: int) -> pd.DataFrame:
    """Draws of views 1 to `views` of every image: image_id, view and the columns of `Draw`, in images' order."""
    rows = [
        {"image_id": image_id, "view": view, **asdict(draw(settings, sha256, view))}
        for image_id, sha256 in zip(images["image_id"], images["sha256"], strict=True)
        for view in range(1, views + 1)
    ]
    table = pd.DataFrame(rows, columns=["image_id", "view", *DRAW_COLUMNS])
    return table.astype({"view": "int16"})


def draws_of(table: pd.DataFrame) -> list[Draw]:
    """The rows of a draw table as `Draw`s."""
    return [Draw(*row) for row in table[list(DRAW_COLUMNS)].itertuples(index=False, name=None)]


def source_of_target(parameters: Draw, side: int) -> np.ndarray:
    """The 2x3 map from a target pixel (x, y) to the source pixel that it shows."""
    angle, shear = np.deg2rad(parameters.angle), np.deg2rad(parameters.shear)
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    shift = np.array([[1, 0, parameters.shift_x * side], [0, 1, parameters.shift_y * side], [0, 0, 1]])
    shearing = np.array([[1, -np.sin(shear), 0], [0, np.cos(shear), 0], [0, 0, 1]])
    flips = np.diag([-1.0 if parameters.flip_h else 1.0, -1.0 if parameters.flip_v else 1.0, 1.0])
    zoom = np.diag([parameters.zoom_x, parameters.zoom_y, 1.0])
    centre = side / 2 - 0.5
    to_centre = np.array([[1, 0, -centre], [0, 1, -centre], [0, 0, 1]])
    back = np.array([[1, 0, centre], [0, 1, centre], [0, 0, 1]])
    return (back @ rotation @ shift @ shearing @ zoom @ flips @ to_centre)[:2]


def apply_draw(picture: np.ndarray, parameters: Draw, *, keep_black: bool = False) -> np.ndarray:
    """Apply one draw to a square uint8 picture [size, size, 3]; returns the same shape and type.

    With `keep_black` the channel shift leaves pure-black pixels alone.
    """
    warped = cv2.warpAffine(
        picture,
        source_of_target(parameters, picture.shape[0]),
        (picture.shape[1], picture.shape[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if not parameters.channel_shift:
        return warped
    return _shift_channels(warped, parameters.channel_shift, keep_black)


def _shift_channels(picture: np.ndarray, shift: float, keep_black: bool) -> np.ndarray:
    levels = np.arange(256, dtype=np.float32) + shift
    table = np.rint(np.clip(levels, picture.min(), picture.max())).astype(np.uint8)
    shifted = cv2.LUT(picture, table)
    return np.where(picture.any(axis=-1, keepdims=True), shifted, picture) if keep_black else shifted


def single_operations(settings: config.Augment) -> dict[str, Draw]:
    """Each operation of Table II alone, at the end of its range, by name: what the preview shows."""
    alone: dict[str, dict[str, Any]] = {
        "horizontal flip": {"flip_h": settings.horizontal_flip},
        "vertical flip": {"flip_v": settings.vertical_flip},
        "rotation": {"angle": settings.rotation},
        "width shift": {"shift_x": settings.width_shift},
        "height shift": {"shift_y": settings.height_shift},
        "shear": {"shear": settings.shear},
        "zoom x": {"zoom_x": 1 + settings.zoom},
        "zoom y": {"zoom_y": 1 - settings.zoom},
        "channel shift": {"channel_shift": settings.channel_shift},
    }
    return {name: Draw(**change) for name, change in alone.items()}
