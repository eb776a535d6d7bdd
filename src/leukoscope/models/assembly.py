"""Saved models: from a raw picture (0..255 RGB, native optics, any size) to p(ALL), nothing left outside.

Stock layers and keras.ops nodes only, so that a saved file loads in safe mode where this package is not installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from leukoscope.config import ModelSettings
from leukoscope.models.backbones import build_backbone
from leukoscope.models.heads import probability

if TYPE_CHECKING:
    import keras

POOLINGS = {"avg": "mean", "max": "max"}


def pool(feature_map: keras.KerasTensor, pooling: str) -> keras.KerasTensor:
    """Global pooling of [n, h, w, c] to [n, c]."""
    from keras import ops

    return getattr(ops, POOLINGS[pooling])(feature_map, axis=(1, 2))


def frame_layers(picture: keras.KerasTensor, frame: int, size: int) -> keras.KerasTensor:
    """The frame rule as layers: the same pixels as `leukoscope.data.pack.frame_and_resize`, as floats.

    Padding first makes every picture larger than the frame, since Keras's CenterCrop would enlarge a smaller one.
    """
    from keras import layers, ops

    x = layers.ZeroPadding2D((frame + 1) // 2)(picture)
    x = layers.CenterCrop(frame, frame)(x)
    if frame == size:
        return x
    return ops.round(layers.Resizing(size, size, interpolation="bilinear")(x))


def trainable_model(backbone: keras.Model, head: keras.Model, pooling: str, name: str) -> keras.Model:
    """Framed pixels [n, size, size, 3] to two sigmoids [n, 2]: what finetuning trains."""
    import keras

    return keras.Model(backbone.input, head(pool(backbone.output, pooling)), name=name)


def raw_model(row: ModelSettings, folds: Sequence[keras.Model]) -> keras.Model:
    """Raw pictures [n, height, width, 3] to p(ALL) [n, 1]: the mean over the folds' models.

    `folds` are what training saved: heads, which here share one backbone (frozen mode), or whole framed models
    (finetune mode).
    """
    import keras
    from keras import ops

    picture = keras.Input((None, None, 3), name="picture")
    framed = frame_layers(picture, row.frame, row.size)
    if row.mode == "frozen":
        backbone = build_backbone(row.backbone, row.weights, row.frame, row.size)
        inputs = pool(backbone(framed), row.pooling)
    else:
        inputs = framed
    probabilities = [probability(fold(inputs)) for fold in folds]
    mean = probabilities[0] if len(probabilities) == 1 else ops.mean(ops.stack(probabilities, axis=0), axis=0)
    return keras.Model(picture, mean, name="leukoscope")
