"""Training one row under one protocol: a model for each fold, its history, and what it gives for every image.

`frozen` trains a head on cached features; `finetune` trains the head first and then all layers on augmented pictures.
Both keep the weights of the best epoch on val and never look at the test side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from leukoscope import config
from leukoscope.models import load_keras
from leukoscope.models.assembly import trainable_model
from leukoscope.models.backbones import batchnorms, build_backbone, trunk_of
from leukoscope.models.heads import build_head, compile_for_training

if TYPE_CHECKING:
    import keras

HISTORY_COLUMNS = ("fold", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
STEPS_PER_EXECUTION = 16  # a head's step is so short that Keras's bookkeeping between steps would cost more
PREDICTED_AT_ONCE = 64  # pictures in memory as floats
EpochEnd = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class TrainingData:
    """What folds train on. Arrays are in the order of images.parquet.

    `features` [images, 1 + views, channels] for frozen rows, `packed` uint8 [images, size, size, 3] for finetuned
    ones; the other is None. `labels` holds 0, 1, or -1 where there is none.
    """

    image_ids: np.ndarray
    sha256: np.ndarray
    labels: np.ndarray
    features: np.ndarray | None
    packed: np.ndarray | None

    def positions(self, fold: pd.DataFrame, side: str) -> np.ndarray:
        """Positions of one side's images, ascending."""
        return np.flatnonzero(np.isin(self.image_ids, fold.loc[fold["side"] == side, "image_id"].to_numpy()))


@dataclass(frozen=True)
class TrainedFold:
    """A fold's model (features or framed pixels to two sigmoids) and its epochs, as dicts of HISTORY_COLUMNS."""

    fold: int
    model: keras.Model
    history: list[dict[str, float]]


def train_folds(
    row: config.ModelSettings,
    settings: config.Train,
    augment: config.Augment,
    data: TrainingData,
    split: pd.DataFrame,
    on_epoch: EpochEnd = lambda epoch: None,
) -> Iterator[TrainedFold]:
    """Train every fold of a protocol's `split` in turn. `on_epoch` is told of each epoch as it ends."""
    load_keras()
    import keras

    train_fold = {"frozen": _train_frozen, "finetune": _finetune}[row.mode]
    for _, sides in split.groupby("fold"):
        number = int(sides["fold"].iloc[0])
        # The fold's number is part of the seed, so folds may be trained in any order or alone.
        keras.utils.set_random_seed(settings.seed + 1000 * number)
        history: list[dict[str, float]] = []

        def keep(epoch: dict[str, float], history: list = history, number: int = number) -> None:
            history.append({"fold": number, "epoch": len(history) + 1, **epoch})
            on_epoch(history[-1])

        model = train_fold(row, settings, augment, data, sides, f"fold_{number}", keep)
        yield TrainedFold(number, model, history)


def _targets(labels: np.ndarray) -> np.ndarray:
    return np.eye(2, dtype=np.float32)[labels]


def _train_frozen(
    row: config.ModelSettings,
    settings: config.Train,
    augment: config.Augment,
    data: TrainingData,
    sides: pd.DataFrame,
    name: str,
    keep: EpochEnd,
) -> keras.Model:
    if data.features is None:
        raise ValueError("frozen training needs features")
    train, val = data.positions(sides, "train"), data.positions(sides, "val")
    views, channels = data.features.shape[1:]
    head = build_head(row, channels, name)
    compile_for_training(head, row.learning_rate, steps_per_execution=STEPS_PER_EXECUTION)
    head.fit(
        data.features[train].reshape(-1, channels),
        _targets(np.repeat(data.labels[train], views)),
        validation_data=(data.features[val, 0], _targets(data.labels[val])),
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        callbacks=_callbacks(settings, keep),
        verbose=0,
    )
    return head


def _finetune(
    row: config.ModelSettings,
    settings: config.Train,
    augment: config.Augment,
    data: TrainingData,
    sides: pd.DataFrame,
    name: str,
    keep: EpochEnd,
) -> keras.Model:
    if data.packed is None:
        raise ValueError("finetuning needs packed pictures")
    from leukoscope.models.pictures import AugmentedPictures

    train, val = data.positions(sides, "train"), data.positions(sides, "val")
    backbone = build_backbone(row.backbone, row.weights, row.frame, row.size)
    model = trainable_model(backbone, build_head(row, backbone.output.shape[-1]), row.pooling, name)
    batches = AugmentedPictures(
        data.packed,
        train,
        _targets(data.labels[train]),
        data.sha256,
        augment,
        batch_size=settings.batch_size,
        seed=settings.seed,
    )
    validation = (plain_pictures(data.packed, val), _targets(data.labels[val]))
    trunk = trunk_of(backbone)
    if settings.head_epochs:
        trunk.trainable = False
        compile_for_training(model, row.learning_rate)
        model.fit(
            batches, validation_data=validation, epochs=settings.head_epochs, callbacks=_reporting(keep), verbose=0
        )
    trunk.trainable = True
    if settings.freeze_batchnorm:
        for norm in batchnorms(trunk):
            norm.trainable = False
    compile_for_training(model, row.learning_rate)
    model.fit(
        batches, validation_data=validation, epochs=settings.epochs, callbacks=_callbacks(settings, keep), verbose=0
    )
    return model


def _reporting(keep: EpochEnd) -> list[keras.callbacks.Callback]:
    import keras

    def epoch_ended(epoch: int, logs: dict[str, Any]) -> None:
        rate = float(reporter.model.optimizer.learning_rate)
        measured = {name: float(logs[name]) for name in HISTORY_COLUMNS if name in logs}
        keep({**measured, "learning_rate": rate})

    reporter = keras.callbacks.LambdaCallback(on_epoch_end=epoch_ended)
    return [reporter]


def _callbacks(settings: config.Train, keep: EpochEnd) -> list[keras.callbacks.Callback]:
    import keras

    return [
        *_reporting(keep),
        keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=max(1, settings.patience // 2)),
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=settings.patience, restore_best_weights=True),
    ]


def plain_pictures(packed: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The packed pictures at `positions` as float32 [n, size, size, 3], 0..255."""
    return packed[positions].astype(np.float32)


def predict(
    sigmoids: Callable[[np.ndarray], np.ndarray], row: config.ModelSettings, data: TrainingData, positions: np.ndarray
) -> np.ndarray:
    """p(ALL) float64 [positions] of one fold's model for the images at `positions`, unaugmented.

    `sigmoids` is the model: from features or framed pixels [n, ...] float32 to [n, 2].
    """
    if row.mode == "frozen":
        if data.features is None:
            raise ValueError("a frozen row predicts from features")
        both = sigmoids(data.features[positions, 0])
    else:
        if data.packed is None:
            raise ValueError("a finetuned row predicts from packed pictures")
        parts = [positions[start : start + PREDICTED_AT_ONCE] for start in range(0, len(positions), PREDICTED_AT_ONCE)]
        both = np.concatenate([sigmoids(plain_pictures(data.packed, part)) for part in parts])
    hem, positive = both.astype(np.float64).T
    return positive / np.maximum(hem + positive, 1e-30)
