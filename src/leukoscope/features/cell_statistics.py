"""A cell's area, shape and colour as further columns of a row's features, and how much they weigh beside the others.

Stock layers and keras.ops nodes only, as in `training.assembly`. A picture turned by quarters has the same statistics;
an augmented view has those that it shows, so a zoom changes the area.

A handful of columns beside thousands says nothing to a head that takes all columns alike: Table III's standardises
each one, so the scale that a column comes in does not matter to it. Therefore it multiplies the columns by
`column_weights` once it has standardised them: the statistics then make up `statistics_share` of the squared distance
of two images, and with it of a hidden unit's variance at the start and of what L2 allows a decision to take from them.
The plain head standardises nothing: there it is their share as far as the backbone's columns vary about as much as the
statistics, which come in deviations from a usual cell. The kernel head has them beside its kernel: `training.stacking`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from leukoscope.features.inside_cell import inside_cell, moments

if TYPE_CHECKING:
    import keras

    from leukoscope.config.rows import ModelSettings

    # From pixels [n, size, size, 3], what is inside the cell [n, size, size, 1], and the native pixels along one of
    # theirs, to [n, columns].
    Measuring = Callable[[keras.KerasTensor, keras.KerasTensor, float], keras.KerasTensor]


NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))  # rows and columns from a pixel to the next in four directions


@dataclass(frozen=True)
class Measure:
    """A statistic's columns, with the mean and the deviation of each over the cells of C-NMC's fold 0."""

    compute: Measuring
    columns: tuple[str, ...]
    usual: tuple[float, ...]
    deviation: tuple[float, ...]


def statistics_model(names: Sequence[str], frame: int, size: int) -> keras.Model:
    """Framed pixels [n, size, size, 3] (0..255) to `statistics`."""
    import keras

    pixels = keras.Input((size, size, 3), name="framed")
    return keras.Model(pixels, statistics(pixels, names, frame))


def statistics(pixels: keras.KerasTensor, names: Sequence[str], frame: int) -> keras.KerasTensor:
    """Framed pixels [n, size, size, 3] to [n, columns]: the statistics `names`, in deviations from a usual cell's.

    `frame` is how many native pixels the `size` pixels were. A picture without a cell has colours and a logarithm of 0:
    far from any cell's, and finite.
    """
    from keras import ops

    inside, scale = inside_cell(pixels), frame / pixels.shape[1]
    measured = [
        (MEASURES[name].compute(pixels, inside, scale) - np.array(MEASURES[name].usual, np.float32))
        / np.array(MEASURES[name].deviation, np.float32)
        for name in names
    ]
    return measured[0] if len(measured) == 1 else ops.concatenate(measured, axis=-1)


def statistics_columns(names: Sequence[str]) -> list[str]:
    """What each column of the statistics `names` measures."""
    return [column for name in names for column in MEASURES[name].columns]


def column_weights(row: ModelSettings, columns: int) -> np.ndarray:
    """What a head multiplies each of a row's `columns` features by, once they are standardised: float32 [columns].

    1 for the backbones' columns. The statistics, which come last, get what makes them `statistics_share` of the sum of
    squares where all columns vary alike.
    """
    weights = np.ones(columns, np.float32)
    own = len(statistics_columns(row.statistics))
    if own:
        share = row.statistics_share
        weights[-own:] = math.sqrt(share / (1 - share) * (columns - own) / own)
    return weights


def _area(pixels: keras.KerasTensor, inside: keras.KerasTensor, scale: float) -> keras.KerasTensor:
    """The natural logarithm of the cell's native pixels."""
    from keras import ops

    native = ops.sum(inside, axis=(1, 2)) * scale**2
    return ops.log(ops.maximum(native, 1.0))


def _shape(pixels: keras.KerasTensor, inside: keras.KerasTensor, scale: float) -> keras.KerasTensor:
    """The shorter over the longer axis of the ellipse with the cell's second moments, and the circularity 4 pi A / P^2.

    Both are 1 for a disc.
    """
    from keras import ops

    return ops.concatenate([_axes_ratio(inside), _circularity(inside)], axis=-1)


def _axes_ratio(inside: keras.KerasTensor) -> keras.KerasTensor:
    from keras import ops

    size = inside.shape[1]
    along = (np.arange(size, dtype=np.float32) - (size - 1) / 2) / size
    down, across = along[:, None, None], along[None, :, None]
    total = ops.maximum(ops.sum(inside, axis=(1, 2)), 1.0)

    def mean(values: keras.KerasTensor | np.ndarray) -> keras.KerasTensor:
        return ops.sum(inside * values, axis=(1, 2)) / total

    mean_down, mean_across = mean(down), mean(across)
    pixel = 1 / (12 * size**2)  # the variance within one
    variance_down = mean(down**2) - ops.square(mean_down) + pixel
    variance_across = mean(across**2) - ops.square(mean_across) + pixel
    covariance = mean(down * across) - mean_down * mean_across
    middle = (variance_down + variance_across) / 2
    apart = ops.sqrt(ops.square((variance_down - variance_across) / 2) + ops.square(covariance))
    return ops.sqrt(ops.maximum(middle - apart, 0.0) / (middle + apart))


def _circularity(inside: keras.KerasTensor) -> keras.KerasTensor:
    """With the perimeter by Crofton's formula: how often lines in four directions cross the outline, holes included.

    Counting sides of pixels would give any convex cell the perimeter of its bounding box.
    """
    from keras import ops

    padded = ops.pad(inside, ((0, 0), (1, 1), (1, 1), (0, 0)))
    side = padded.shape[1]
    perimeter = 0.0
    for down, across in NEIGHBOURS:
        here = padded[:, : side - down, max(0, -across) : side - max(0, across)]
        there = padded[:, down:, max(0, across) : side + min(0, across)]
        crossings = ops.sum(ops.abs(there - here), axis=(1, 2))
        perimeter = perimeter + crossings * (math.pi / 8 / math.hypot(down, across))
    area = ops.sum(inside, axis=(1, 2))
    return 4 * math.pi * area / ops.square(ops.maximum(perimeter, 1.0))


def _colour(pixels: keras.KerasTensor, inside: keras.KerasTensor, scale: float) -> keras.KerasTensor:
    """Mean and deviation of R, G, B over the cell, in grey levels."""
    from keras import ops

    mean, variance = moments(pixels, inside)
    return ops.squeeze(ops.concatenate([mean, ops.sqrt(variance)], axis=-1), axis=(1, 2))


MEASURES = {
    "area": Measure(_area, ("log area",), (10.3,), (0.27,)),
    "shape": Measure(_shape, ("axes ratio", "circularity"), (0.84, 0.89), (0.1, 0.12)),
    "colour": Measure(
        _colour,
        ("mean red", "mean green", "mean blue", "deviation of red", "deviation of green", "deviation of blue"),
        (69.0, 30.0, 80.0, 11.0, 8.5, 9.3),
        (9.0, 5.2, 7.8, 2.0, 2.2, 1.7),
    ),
}
