"""What a view changes of a picture, drawn by chance: Table II's operations, and stain and grain."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from leukoscope.config.params import Augment


@dataclass(frozen=True)
class Draw:
    """One view's parameters. Shifts are shares of the side, angles are degrees, the channel shift is grey levels.

    What follows it is of `imaging.appearance`: factors and shifts of the stains' optical densities, gains of the fine
    and the coarse band, and the noise's deviation in grey levels, with the seed of its pixels.
    """

    flip_h: bool = False
    flip_v: bool = False
    angle: float = 0.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    shear: float = 0.0
    zoom_x: float = 1.0
    zoom_y: float = 1.0
    channel_shift: float = 0.0
    azure_scale: float = 1.0
    azure_shift: float = 0.0
    eosin_scale: float = 1.0
    eosin_shift: float = 0.0
    fine_red: float = 1.0
    fine_green: float = 1.0
    fine_blue: float = 1.0
    coarse_red: float = 1.0
    coarse_green: float = 1.0
    coarse_blue: float = 1.0
    noise: float = 0.0
    noise_seed: int = 0

    @property
    def restains(self) -> bool:
        """Whether it changes how much stain a cell took."""
        return (self.azure_scale, self.azure_shift, self.eosin_scale, self.eosin_shift) != (1, 0, 1, 0)

    @property
    def regrains(self) -> bool:
        """Whether it changes a cell's finest detail."""
        fine, coarse = (
            (self.fine_red, self.fine_green, self.fine_blue),
            (self.coarse_red, self.coarse_green, self.coarse_blue),
        )
        return {*fine, *coarse} != {1}


DRAW_COLUMNS = tuple(Draw.__dataclass_fields__)
FINE_GAINS = ("fine_red", "fine_green", "fine_blue")
COARSE_GAINS = ("coarse_red", "coarse_green", "coarse_blue")
CHANNELS_OF_GRAIN = 1 / 3  # how much of a gain's deviation a channel has for itself


def draw(settings: Augment, sha256: str, view: int) -> Draw:
    """The draw of `view` (1, 2, ...) of the image with this hash."""
    rng = np.random.default_rng([settings.seed, int(sha256[:16], 16), view])
    # All nine numbers are always drawn, so that changing one range leaves the other draws as they were.
    flip_h, flip_v, angle, shift_x, shift_y, shear, zoom_x, zoom_y, channel = rng.random(9).tolist()

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
        **(_drawn_appearance(settings, rng) if settings.stain or settings.grain or settings.noise else {}),
    )


def _drawn_appearance(settings: Augment, rng: np.random.Generator) -> dict[str, Any]:
    """Each number is drawn whatever the ranges, as those of Table II are, and after them."""
    scales_and_shifts, noise = rng.uniform(-settings.stain, settings.stain, 4), rng.uniform(0, settings.noise)
    bands, channels = rng.standard_normal((2, 1)), rng.standard_normal((2, 3))
    fine, coarse = np.exp(settings.grain * (bands + channels * CHANNELS_OF_GRAIN)).tolist()
    azure_scale, azure_shift, eosin_scale, eosin_shift = scales_and_shifts.tolist()
    return {
        "azure_scale": 1 + azure_scale,
        "azure_shift": azure_shift,
        "eosin_scale": 1 + eosin_scale,
        "eosin_shift": eosin_shift,
        **dict(zip(FINE_GAINS, fine, strict=True)),
        **dict(zip(COARSE_GAINS, coarse, strict=True)),
        "noise": float(noise),
        "noise_seed": int(rng.integers(2**31)) if settings.noise else 0,
    }


def draw_table(images: pd.DataFrame, settings: Augment, views: int) -> pd.DataFrame:
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


def single_operations(settings: Augment) -> dict[str, Draw]:
    """Each operation alone, at the end of its range, by name: what the preview shows.

    Table II's are always there; what is beyond it, where it is on, with gains two deviations up.
    """
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
    stain, gain = settings.stain, math.exp(2 * settings.grain)
    if stain:
        alone["more azure"] = {"azure_scale": 1 + stain, "azure_shift": stain}
        alone["more eosin"] = {"eosin_scale": 1 + stain, "eosin_shift": stain}
    if settings.grain:
        alone["fine grain"] = dict.fromkeys(FINE_GAINS, gain)
        alone["coarse grain"] = dict.fromkeys(COARSE_GAINS, gain)
    if settings.noise:
        alone["noise"] = {"noise": settings.noise, "noise_seed": settings.seed}
    return {name: Draw(**change) for name, change in alone.items()}
