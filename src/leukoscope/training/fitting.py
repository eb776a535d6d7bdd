"""What frozen training and finetuning share: epochs on record, stopping on val, and fitting a head on features."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from leukoscope.config.params import Train
from leukoscope.config.rows import ModelSettings
from leukoscope.training.heads import build_head, compile_for_training
from leukoscope.training.sampling import ORDERS, class_weights

if TYPE_CHECKING:
    import keras


HISTORY_COLUMNS = ("fold", "epoch", "all_layers", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
VALIDATED_AT_ONCE = 1024  # pictures' features: in batches as small as training's an epoch would take a tenth longer
STEPS_PER_EXECUTION = 16  # a head's step is so short that Keras's bookkeeping between steps would cost more
HELD_BY_KERAS = 512 * 2**20  # bytes of features: `fit` copies an array twice, so more of them are read batch by batch
EpochEnd = Callable[[dict[str, float]], None]


@dataclass
class History:
    """A fold's epochs as dicts of HISTORY_COLUMNS; `on_epoch` is told of each as it ends.

    Epochs count from 1. `all_layers` is 1 where the whole model trains and 0 where its head does. Those of an earlier
    try that was killed are told to `past`. `done` is told how much of an epoch was done since, for who waits.
    """

    fold: int
    on_epoch: EpochEnd
    past: EpochEnd
    done: Callable[[float], None] = lambda share: None
    epochs: list[dict[str, float]] = field(default_factory=list)
    _share: float = 0.0  # of the epoch in progress

    def add(self, measured: dict[str, float], *, all_layers: bool) -> None:
        """Take an epoch that ended."""
        self.epochs.append(
            {"fold": self.fold, "epoch": len(self.epochs) + 1, "all_layers": int(all_layers), **measured}
        )
        self.part(1)
        self._share = 0.0
        self.on_epoch(self.epochs[-1])

    def part(self, share: float) -> None:
        """Take the share 0..1 of an epoch that is done by now."""
        self.done(share - self._share)
        self._share = share

    def go_on_from(self, epochs: list[dict[str, float]]) -> None:
        """Take the epochs of an earlier try."""
        for epoch in epochs:
            self.epochs.append(epoch)
            self.done(1)
            self.past(epoch)


@dataclass(frozen=True)
class Vectors:
    """Features [images, views, channels] of one side, with the images' labels and groups."""

    features: np.ndarray
    labels: np.ndarray
    groups: np.ndarray


@dataclass(frozen=True)
class UntilValStops:
    """The callbacks of every `fit`: the learning rate halves, and then training stops, where val loss stops falling.

    Val loss is unweighted, of plain views. `best` never stops a training: at the end it brings back the best weights,
    which may be older than the patience of `stopping` (those that finetuning started from).
    """

    plateau: keras.callbacks.ReduceLROnPlateau
    stopping: keras.callbacks.EarlyStopping
    best: keras.callbacks.EarlyStopping
    reporting: keras.callbacks.Callback

    @classmethod
    def of(cls, settings: Train, history: History, *, all_layers: bool) -> UntilValStops:
        """New callbacks that report to `history`."""
        import keras

        return cls(
            keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=max(1, settings.patience // 2)),
            keras.callbacks.EarlyStopping(monitor="val_loss", patience=settings.patience),
            keras.callbacks.EarlyStopping(monitor="val_loss", patience=sys.maxsize, restore_best_weights=True),
            _reporting(history, all_layers),
        )

    def in_order(self) -> list[keras.callbacks.Callback]:
        """An epoch is reported with the learning rate that it had, so before the rate is halved."""
        return [self.reporting, self.plateau, self.stopping, self.best]


def _reporting(history: History, all_layers: bool) -> keras.callbacks.Callback:
    import keras

    def epoch_ended(epoch: int, logs: dict[str, Any]) -> None:
        rate = float(reporter.model.optimizer.learning_rate)
        measured = {name: float(logs[name]) for name in HISTORY_COLUMNS if name in logs}
        history.add({**measured, "learning_rate": rate}, all_layers=all_layers)

    def batch_ended(batch: int, logs: dict[str, Any]) -> None:
        if steps := reporter.params.get("steps"):
            history.part((batch + 1) / steps)

    # A head's epoch is short, and its steps are so many at once that telling of each would slow them down.
    of_batches = {"on_train_batch_end": batch_ended} if all_layers else {}
    reporter = keras.callbacks.LambdaCallback(on_epoch_end=epoch_ended, **of_batches)
    return reporter


def targets(labels: np.ndarray) -> np.ndarray:
    """Labels 0 and 1 as float32 [n, 2], one for each sigmoid."""
    return np.eye(2, dtype=np.float32)[labels]


class HeadFitter:
    """Fits a row's heads, fold after fold, through one compiled model, since tracing one costs as much as ten epochs.

    Every fit starts from the head's own weights and seeds and from a new optimiser, so it knows nothing of the others.
    """

    def __init__(self, row: ModelSettings, settings: Train) -> None:
        self._row, self._settings = row, settings
        self._compiled: keras.Model | None = None
        self._new_optimizer: list[np.ndarray] = []

    def fit(self, head: keras.Model, epochs: int, train: Vectors, val: Vectors, history: History) -> None:
        """Fit a head on every view of `train`; val counts in its plain view (the first) alone."""
        model = self._like(head)
        row, batch_size = self._row, self._settings.batch_size
        features, labels, groups = by_view(train)
        callbacks = UntilValStops.of(self._settings, history, all_layers=False).in_order()
        known = {
            "validation_data": (val.features[:, 0], targets(val.labels)),
            "validation_batch_size": VALIDATED_AT_ONCE,
            "class_weight": class_weights(row, train.labels),
            "epochs": epochs,
            "verbose": 0,
        }
        if row.sampling == "image" and features.nbytes <= HELD_BY_KERAS:
            model.fit(features, targets(labels), batch_size=batch_size, callbacks=callbacks, **known)
        else:
            from leukoscope.training.batches import EpochBatches

            batches = EpochBatches(
                lambda positions, epoch: features[positions],
                np.arange(len(labels)),
                targets(labels),
                batch_size=batch_size,
                seed=self._settings.seed,
                order=partial(ORDERS[row.sampling], labels=labels, groups=groups),
            )
            callbacks = [batches.following(), *callbacks]
            model.fit(batches, shuffle=False, callbacks=callbacks, **known)
        head.set_weights(model.get_weights())

    def _like(self, head: keras.Model) -> keras.Model:
        """The compiled model, in the state of `head` and before its first step."""
        import keras

        if self._compiled is None:
            self._compiled = build_head(self._row, head.input.shape[-1])
            compile_for_training(self._compiled, self._row.learning_rate, steps_per_execution=STEPS_PER_EXECUTION)
            self._compiled.optimizer.build(self._compiled.trainable_variables)
            self._new_optimizer = [keras.ops.convert_to_numpy(value) for value in self._compiled.optimizer.variables]
        for variable, value in zip(self._compiled.variables, head.variables, strict=True):
            variable.assign(keras.ops.convert_to_numpy(value))  # JAX would share the array, and a step then deletes it
        for variable, start in zip(self._compiled.optimizer.variables, self._new_optimizer, strict=True):
            variable.assign(start)
        return self._compiled


def by_view(side: Vectors) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [images * views, channels], with a label and a group for each."""
    views, channels = side.features.shape[1:]
    return side.features.reshape(-1, channels), np.repeat(side.labels, views), np.repeat(side.groups, views)
