"""From framed pixels to a row's vectors: the colours that a backbone is shown, its taps, and how their maps are pooled.

Stock layers and keras.ops nodes only, as in `training.assembly`, and none whose values depend on the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from leukoscope.features.architecture import at_scale
from leukoscope.features.cell_statistics import MEASURES
from leukoscope.features.inside_cell import inside_cell, moments, on_grid

if TYPE_CHECKING:
    import keras

    MapsOf = Callable[[keras.KerasTensor], Sequence[keras.KerasTensor]]


WHOLE_MAP = {"avg": "mean", "max": "max"}
STATISTICS = {"avg": ("mean",), "max": ("maximum",), "cell": ("mean", "deviation")}  # of each channel, by pooling
COLOURS = {"raw": ("raw",), "normalized": ("normalized",), "both": ("raw", "normalized")}  # the pictures of a setting
LAST_MAP = "last map"  # of a row without taps
NO_BACKBONE, PIXELS = "cell", "pixels"  # of statistics of the cell
# Normalized colours: brighter than C-NMC's cells, whose channels have means of 69, 30 and 80, and of three times the
# contrast (deviations of 11, 8.5 and 9.3 in a cell).
TARGET_MEAN = (105.0, 65.0, 115.0)
TARGET_DEVIATION = (35.0, 35.0, 30.0)
SMALLEST_VARIANCE = 1e-7  # under each root: its slope at 0 would be infinite


class Part(NamedTuple):
    """Neighbouring columns of a row's vectors and where they come from: which statistic of which tap's channels.

    `backbone` and `tap` tell the scale of a branch that sees a shrunk picture. Where no backbone is between, as with
    the area of the cell, `backbone` is NO_BACKBONE and `tap` PIXELS.
    """

    columns: slice
    backbone: str
    tap: str
    colours: str
    statistic: str


def parts_of_columns(row: Mapping[str, Any], channels: Sequence[int]) -> list[Part]:
    """The parts of a row's vectors in the order of their columns: `vectors` with one pooling, then its statistics.

    `row` has its backbone, taps, what is beside it, pooling, colours and statistics; `channels` are those of each
    tap's map, or of the last map, of one backbone after another.
    """
    found: list[tuple[int, str, str, str, str]] = []  # a part's width, and all but the columns
    first = 0
    for branch in (row, row["beside"]) if row["beside"] else (row,):
        shrink = branch.get("shrink", 1)  # the row itself has none
        backbone = at_scale(branch["backbone"], shrink)
        taps = [at_scale(tap, shrink) for tap in branch["taps"] or [LAST_MAP]]
        maps = list(zip(taps, channels[first : first + len(taps)], strict=True))
        first += len(taps)
        found += [
            (width, backbone, tap, colours, statistic)
            for colours, (tap, width), statistic in product(COLOURS[row["colours"]], maps, STATISTICS[row["pooling"]])
        ]
    found += [(len(MEASURES[name].columns), NO_BACKBONE, PIXELS, "raw", name) for name in row["statistics"]]
    ends = np.cumsum([width for width, *_ in found]).tolist()
    return [Part(slice(end - width, end), *names) for end, (width, *names) in zip(ends, found, strict=True)]


def poolings_beside(pooling: str) -> tuple[str, ...]:
    """The poolings that one pass computes together, in their order: a maximum and a mean of a map cost nothing."""
    return tuple(WHOLE_MAP) if pooling in WHOLE_MAP else (pooling,)


def feature_model(backbone: keras.Model, poolings: Sequence[str], colours: str, shrink: int = 1) -> keras.Model:
    """Framed pixels [n, size, size, 3] (0..255) to `vectors` of a backbone as `build_backbone` makes it.

    The backbone's input is of size / `shrink`.
    """
    import keras

    down, across, channels = backbone.input.shape[1:]
    pixels = keras.Input((shrink * down, shrink * across, channels), name="framed")
    seen = shrunk(pixels, shrink)
    return keras.Model(pixels, vectors(seen, lambda picture: maps_of(backbone, picture), poolings, colours))


def shrunk(pixels: keras.KerasTensor, shrink: int) -> keras.KerasTensor:
    """The means of squares of `shrink` x `shrink` pixels, in whole grey levels as all framed pictures have."""
    from keras import ops

    return pixels if shrink == 1 else ops.round(ops.average_pool(pixels, shrink))


def maps_of(backbone: keras.Model, picture: keras.KerasTensor) -> list[keras.KerasTensor]:
    """The maps [n, h, w, channels] of a backbone's taps, or its last one."""
    maps = backbone(picture)
    return maps if isinstance(maps, list) else [maps]


def vectors(pixels: keras.KerasTensor, maps: MapsOf, poolings: Sequence[str], colours: str) -> keras.KerasTensor:
    """Pixels [n, size, size, 3] to [n, columns]: pooling by pooling, in each picture by picture, in each tap by tap.

    `maps` gives a backbone's maps of a picture. A pooling over the cell has two columns for each channel: first the
    means, then the deviations.
    """
    from keras import ops

    inside = inside_cell(pixels)
    found = [one for shown in COLOURS[colours] for one in maps(PICTURES[shown](pixels, inside))]
    pooled = [
        pool(one, pooling) if pooling in WHOLE_MAP else pool_cell(one, inside) for pooling in poolings for one in found
    ]
    return pooled[0] if len(pooled) == 1 else ops.concatenate(pooled, axis=-1)


def pool(feature_map: keras.KerasTensor, pooling: str) -> keras.KerasTensor:
    """Global pooling of [n, h, w, c] to [n, c]."""
    from keras import ops

    return getattr(ops, WHOLE_MAP[pooling])(feature_map, axis=(1, 2))


def pool_cell(feature_map: keras.KerasTensor, inside: keras.KerasTensor) -> keras.KerasTensor:
    """Mean and deviation of [n, h, w, c] over the cell, as [n, 2c]; `inside` is [n, size, size, 1].

    A place of the map counts by the share of its pixels that are inside. A picture without a cell gives a mean of 0.
    """
    from keras import ops

    weights = on_grid(inside, feature_map.shape[1], feature_map.shape[2])
    mean, variance = moments(feature_map, weights)
    both = ops.concatenate([mean, ops.sqrt(variance + SMALLEST_VARIANCE)], axis=-1)
    return ops.squeeze(both, axis=(1, 2))


def normalized_colours(pixels: keras.KerasTensor, inside: keras.KerasTensor) -> keras.KerasTensor:
    """Pixels whose channels have the target's mean and deviation over the cell (0..255), and a black background."""
    from keras import ops

    mean, variance = moments(pixels, inside)
    standard = (pixels - mean) / ops.sqrt(variance + SMALLEST_VARIANCE)
    moved = standard * np.array(TARGET_DEVIATION, np.float32) + np.array(TARGET_MEAN, np.float32)
    return ops.clip(moved, 0.0, 255.0) * inside


# What a backbone is shown, from pixels and what is inside the cell.
PICTURES: dict[str, Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]] = {
    "raw": lambda pixels, inside: pixels,
    "normalized": normalized_colours,
}
