"""Heads: from pooled features to two sigmoids, and from those to p(ALL).

Unit 0 is hem and unit 1 is ALL, so that unit `label` is the target and ALL is 1 as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from leukoscope.config.rows import ModelSettings
from leukoscope.features.cell_statistics import column_weights

if TYPE_CHECKING:
    import keras


def _regularized(features: keras.KerasTensor, row: ModelSettings) -> keras.KerasTensor:
    """Table III: batch norm, Dense (ReLU; kernel L2, activity L1, bias L1), dropout.

    Keras divides an activity penalty by the batch size (from 3.14 on), so its strength means the same for any batch.
    """
    from keras import layers, regularizers

    x = _weighted(layers.BatchNormalization(name="batch_norm", dtype="float32")(features), row)
    x = layers.Dense(
        row.width,
        activation="relu",
        kernel_regularizer=regularizers.L2(row.kernel_l2),
        activity_regularizer=regularizers.L1(row.activity_l1),
        bias_regularizer=regularizers.L1(row.bias_l1),
        name="hidden",
        dtype="float32",  # in float16 the penalties would overflow
    )(x)
    return layers.Dropout(row.dropout, name="dropout", dtype="float32")(x)


def _plain(features: keras.KerasTensor, row: ModelSettings) -> keras.KerasTensor:
    return _weighted(features, row)


def _weighted(features: keras.KerasTensor, row: ModelSettings) -> keras.KerasTensor:
    return features * column_weights(row, features.shape[-1]) if row.statistics else features


HEADS: dict[str, Callable[[keras.KerasTensor, ModelSettings], keras.KerasTensor]] = {
    "regularized": _regularized,
    "plain": _plain,
}


def build_head(row: ModelSettings, features: int, name: str = "head") -> keras.Model:
    """A head from [n, features] to two sigmoids [n, 2] (hem, ALL), in float32 even where the backbone is not."""
    import keras

    inputs = keras.Input((features,), name="features", dtype="float32")
    last = keras.layers.Dense(2, activation="sigmoid", name="sigmoids", dtype="float32")
    return keras.Model(inputs, last(HEADS[row.head](inputs, row)), name=name)


def probability(sigmoids: keras.KerasTensor) -> keras.KerasTensor:
    """p(ALL) [n, 1] = s_all / (s_all + s_hem), so p > 0.5 is the paper's argmax."""
    from keras import ops

    # The floor only matters where both sigmoids underflow to zero in float32.
    return sigmoids[:, 1:2] / ops.maximum(sigmoids[:, 0:1] + sigmoids[:, 1:2], 1e-30)


def compile_for_training(model: keras.Model, learning_rate: float, *, steps_per_execution: int = 1) -> None:
    """Table III's optimiser and loss: Adamax, binary cross-entropy over both units, accuracy by argmax."""
    import keras

    model.compile(
        optimizer=keras.optimizers.Adamax(learning_rate),
        loss=keras.losses.BinaryCrossentropy(),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        steps_per_execution=steps_per_execution,
    )
