"""What is inside the cell of framed pixels, and what values are over it.

Stock layers and keras.ops nodes only, as in `training.assembly`, and none whose values depend on the batch.

*Inside* is what data.cell calls so: brighter than its BACKGROUND in some channel. Above 0 would do for lossless files;
around a JPEG it would take the rings for cell, and after an augmented channel shift the background.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from leukoscope.imaging.cell import BACKGROUND

if TYPE_CHECKING:
    import keras


def inside_cell(pixels: keras.KerasTensor) -> keras.KerasTensor:
    """1.0 inside the cell and 0.0 on the background: [n, size, size, 1]."""
    from keras import ops

    return ops.cast(ops.max(pixels, axis=-1, keepdims=True) > BACKGROUND, "float32")


def on_grid(inside: keras.KerasTensor, height: int, width: int) -> keras.KerasTensor:
    """The mean of [n, size, size, 1] in each of `height` x `width` equal parts of the picture: [n, height, width, 1].

    Backbones pad their maps at different sides, up to half a place of the last grid; equal parts turn with the picture.
    """
    from keras import ops

    down, across = (shares(parts, size) for parts, size in zip((height, width), inside.shape[1:3], strict=True))
    return ops.expand_dims(ops.matmul(ops.matmul(down, ops.squeeze(inside, axis=-1)), across.T), axis=-1)


def shares(parts: int, size: int) -> np.ndarray:
    """Float32 [parts, size]: which share of each of `parts` equal parts of a side is each of its `size` pixels."""
    edges = np.linspace(0, size, parts + 1)[:, None]
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    return (np.maximum(overlap, 0) * parts / size).astype(np.float32)


def moments(values: keras.KerasTensor, weights: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Weighted mean and variance [n, 1, 1, c] of [n, h, w, c]; 0 where no weight is above 0."""
    from keras import ops

    # The smallest share that a weight can have is larger than this floor.
    total = ops.maximum(ops.sum(weights, axis=(1, 2), keepdims=True), 1e-6)
    mean = ops.sum(values * weights, axis=(1, 2), keepdims=True) / total
    variance = ops.sum(ops.square(values - mean) * weights, axis=(1, 2), keepdims=True) / total
    return mean, variance
