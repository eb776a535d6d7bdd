"""Saved models: from a raw picture (0..255 RGB, native optics, any size) to p(ALL), nothing left outside.

Stock layers and keras.ops nodes only, so that a saved file loads in safe mode where this package is not installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from itertools import count
from typing import TYPE_CHECKING

from leukoscope.config.rows import ModelSettings
from leukoscope.features.backbones import build_backbone
from leukoscope.features.cell_statistics import statistics
from leukoscope.features.pooling import maps_of, pool, shrunk, vectors
from leukoscope.imaging.turns import turned_in_a_model, turns_of
from leukoscope.training.heads import probability

if TYPE_CHECKING:
    import keras


def frame_layers(picture: keras.KerasTensor, frame: int, size: int) -> keras.KerasTensor:
    """The frame rule as layers: the same pixels as `imaging.framing.frame_and_resize`, as floats.

    Padding first makes every picture larger than the frame, since Keras's CenterCrop would enlarge a smaller one. Keras
    takes these two layers to be training unless told otherwise, and all layers after them: dropouts would drop.
    """
    from keras import layers, ops

    x = layers.ZeroPadding2D((frame + 1) // 2)(picture)
    x = layers.CenterCrop(frame, frame)(x, training=False)
    if frame == size:
        return x
    return ops.round(layers.Resizing(size, size, interpolation="bilinear")(x, training=False))


def trainable_model(backbone: keras.Model, head: keras.Model, pooling: str, name: str) -> keras.Model:
    """Framed pixels [n, size, size, 3] to two sigmoids [n, 2]: what finetuning trains."""
    import keras

    return keras.Model(backbone.input, head(pool(backbone.output, pooling)), name=name)


def raw_model(row: ModelSettings, folds: Sequence[keras.Model]) -> keras.Model:
    """Raw pictures [n, height, width, 3] to p(ALL) [n, 1]: the mean over the folds' models and the row's rotations.

    `folds` are what training saved: heads, which here share one backbone (frozen mode), or whole framed models
    (finetune mode).
    """
    return joined_model({"row": (row, folds)})


def joined_model(members: Mapping[str, tuple[ModelSettings, Sequence[keras.Model]]]) -> keras.Model:
    """Raw pictures [n, height, width, 3] to p(ALL) [n, 1]: the mean over the members, each over its folds.

    A member is a row with what training saved of it. Members with one frame, size and rotations share the framed
    pictures, and frozen ones with a backbone, its weights, its taps and its scale in common besides share its branch.
    """
    import keras

    picture = keras.Input((None, None, 3), name="picture")

    @cache
    def framed(frame: int, size: int, rotations: int) -> keras.KerasTensor:
        return _turned(frame_layers(picture, frame, size), rotations)

    @cache
    def backbone(name: str, weights: str, frame: int, size: int, taps: tuple[str, ...]) -> keras.Model:
        return _named(build_backbone(name, weights, frame, size, taps), f"{name}_{next(branch)}")

    @cache
    def features(network: keras.Model, pictures: keras.KerasTensor, pooling: str, colours: str) -> keras.KerasTensor:
        return vectors(pictures, partial(maps, network), (pooling,), colours)

    def columns(row: ModelSettings, pictures: keras.KerasTensor) -> keras.KerasTensor:
        found = []
        for one in row.branches:
            network = backbone(one.backbone, one.weights, row.frame, one.side(row.size), one.taps)
            found.append(features(network, smaller(pictures, one.shrink), row.pooling, row.colours))
        found += [measured(pictures, row.statistics, row.frame)] if row.statistics else []
        return found[0] if len(found) == 1 else keras.ops.concatenate(found, axis=-1)

    branch = count()
    maps, measured, smaller = cache(maps_of), cache(statistics), cache(shrunk)
    means = []
    for name, (row, folds) in members.items():
        inputs = framed(row.frame, row.size, row.rotations)
        if row.mode == "frozen":
            inputs = columns(row, inputs)
        of_folds = _mean([probability(_named(fold, f"{name}_{fold.name}")(inputs)) for fold in folds])
        means.append(_mean_of_turns(of_folds, row.rotations))
    return keras.Model(picture, _mean(means), name="leukoscope")


def _named(model: keras.Model, name: str) -> keras.Model:
    """The same layers under another name: within one model no two may be called alike."""
    import keras

    return keras.Model(model.input, model.output, name=name)


def _turned(framed: keras.KerasTensor, rotations: int) -> keras.KerasTensor:
    """All turns of [n, size, size, 3] as one larger batch, turn by turn: so the models are in the graph once."""
    from keras import ops

    return framed if rotations == 1 else ops.concatenate([turned_in_a_model(framed, t) for t in turns_of(rotations)])


def _mean_of_turns(p_all: keras.KerasTensor, rotations: int) -> keras.KerasTensor:
    """[rotations * n, 1] as `_turned` orders them, to [n, 1]."""
    from keras import ops

    return p_all if rotations == 1 else ops.mean(ops.reshape(p_all, (rotations, -1, 1)), axis=0)


def _mean(values: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
    from keras import ops

    return values[0] if len(values) == 1 else ops.mean(ops.stack(values, axis=0), axis=0)
