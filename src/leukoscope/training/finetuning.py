"""Finetuning a fold: the head on frozen features, then all layers on augmented pictures, resumable after any epoch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import pandas as pd

from leukoscope.features.backbones import batchnorms, build_backbone, trunk_of
from leukoscope.features.embedding import pooled_features
from leukoscope.imaging.draws import draw
from leukoscope.training.assembly import trainable_model
from leukoscope.training.batches import AugmentedPictures, EpochBatches
from leukoscope.training.checkpoints import KeepLastEpoch
from leukoscope.training.fitting import History, UntilValStops, Vectors, targets
from leukoscope.training.heads import build_head, compile_for_training
from leukoscope.training.sampling import ORDERS, class_weights
from leukoscope.training.timing import on_a_gpu

if TYPE_CHECKING:
    from leukoscope.training.task import Task


def finetune(training: Task, sides: pd.DataFrame, name: str, history: History, kept: Path) -> keras.Model:
    """Train one fold of a protocol (`sides`); `kept` holds the last epoch of an earlier try that was killed, if any.

    Returns a float32 model of framed pixels [n, size, size, 3] to two sigmoids, with the weights of the best epoch.
    """
    row, settings, data, packed = training.row, training.settings, training.data, training.data.pictures()
    repeatable_arithmetic()
    callbacks = UntilValStops.of(settings, history, all_layers=True)
    last_epoch = KeepLastEpoch(kept, callbacks, history, settings.epochs)
    with mixed_precision_on_a_gpu():
        model = _new_model(training, history.fold, name)
        if not last_epoch.resumes:
            _fit_head_on_frozen_features(training, sides, model, history)
        compile_for_training(model, row.learning_rate)
    train, val = data.positions(sides, "train"), data.positions(sides, "val")
    batches = EpochBatches(
        AugmentedPictures(packed, data.sha256, training.augment),
        train,
        targets(data.labels[train]),
        batch_size=settings.batch_size,
        seed=settings.seed,
        order=partial(ORDERS[row.sampling], labels=data.labels[train], groups=data.groups[train]),
    )
    validation = EpochBatches(
        lambda positions, epoch: packed[positions],
        val,
        targets(data.labels[val]),
        batch_size=settings.batch_size,
    )
    model.fit(
        batches,
        validation_data=validation,
        class_weight=class_weights(row, data.labels[train]),
        initial_epoch=last_epoch.initial_epoch,
        epochs=settings.epochs,
        callbacks=[batches.following(), *callbacks.in_order(), last_epoch],
        shuffle=False,  # Keras would shuffle the batches by Python's own random state, which no checkpoint holds
        verbose=0,
    )
    return _in_float32(model, training, history.fold, name)


def repeatable_arithmetic() -> None:
    """Make TensorFlow add in the same order every time, where that costs little: on a CPU.

    On a GPU some of the backbones' operations have no repeatable form, and TensorFlow would refuse them.
    """
    if keras.backend.backend() == "tensorflow" and not on_a_gpu():
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


@contextmanager
def mixed_precision_on_a_gpu() -> Iterator[None]:
    """Layers made here compute in float16, on float32 variables, where there is a GPU (heads stay in float32)."""
    before = keras.config.dtype_policy()
    if on_a_gpu():
        keras.config.set_dtype_policy("mixed_float16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _new_model(training: Task, fold: int, name: str) -> keras.Model:
    row = training.row
    backbone = build_backbone(row.backbone, row.weights, row.frame, row.size)
    # An untrained backbone's start sets a seed of its own, the same for every fold.
    keras.utils.set_random_seed(training.seed(fold))
    for norm in batchnorms(trunk_of(backbone)):
        norm.trainable = not training.settings.freeze_batchnorm  # a frozen one keeps the statistics that it has
    return trainable_model(backbone, build_head(row, backbone.output.shape[-1]), row.pooling, name)


def _in_float32(model: keras.Model, training: Task, fold: int, name: str) -> keras.Model:
    """The same model without mixed precision, so that it gives the same values wherever it is loaded."""
    if model.dtype_policy.name == "float32":
        return model
    whole = _new_model(training, fold, name)
    whole.set_weights(model.get_weights())
    return whole


def _fit_head_on_frozen_features(training: Task, sides: pd.DataFrame, model: keras.Model, history: History) -> None:
    """Fit the head as frozen mode does, on features that are computed once for all folds, protocols and rows."""
    row, settings, data = training.row, training.settings, training.data
    if not settings.head_epochs:
        return

    def vectors(side: str, views: int) -> Vectors:
        at = data.positions(sides, side)
        draws = [[draw(training.augment, sha256, 1 + view) for view in range(views)] for sha256 in data.sha256[at]]
        keep_black, pictures = training.augment.keep_black, data.pictures()
        features = pooled_features(row.model_dump(), data.sha256, pictures, at, draws, keep_black, training.store)
        return Vectors(features, data.labels[at], data.groups[at])

    head = model.get_layer("head")
    training.heads.fit(head, settings.head_epochs, vectors("train", row.views), vectors("val", 0), history)
