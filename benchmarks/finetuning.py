"""An epoch of finetuning MobileNetV2 on augmented pictures, beside plain Keras `fit` on arrays without augmentation."""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.measuring import Reach, cells, duration, report
from leukoscope.config.params import Augment, Train
from leukoscope.config.rows import ModelSettings
from leukoscope.imaging.framing import frame_and_resize

FRAME, SIZE, TRAINED, VALIDATED, ROUNDS = 300, 128, 600, 120, 3
ROW = ModelSettings(backbone="mobilenetv2", weights="none", frame=FRAME, size=SIZE, mode="finetune")
TRAIN = Train(epochs=ROUNDS + 2, patience=ROUNDS + 2, head_epochs=0)

GO_ON, END = "go on", "end"
EpochEnded = Callable[[], None]


def main() -> None:
    """Measure and report."""
    # Each way in a process of its own: ours asks TensorFlow to add in one order, for which the peer shall not pay.
    ways = [_Paused(train) for train in (finetune, fit_on_arrays)]
    rounds = [[way.epoch() for way in ways] for _ in range(ROUNDS)]
    ours, peer = ([seconds[way] for seconds in rounds] for way in (0, 1))
    for way in ways:
        way.end()
    report(duration("epoch of finetuning / Keras fit on arrays", ours, peer, Reach(1.1, at_most=True)))


def finetune(ended: EpochEnded) -> None:
    """As the stage train does it: packed pictures, new draws each epoch, a checkpoint after each."""
    from leukoscope.training.task import TrainingData
    from leukoscope.training.training import Training

    names = np.array([f"{number:064x}" for number in range(TRAINED + VALIDATED)])
    pictures, labels = _pictures_and_labels()
    data = TrainingData(names, names, labels, np.full(len(names), "one"), None, pictures)
    sides = ["train"] * TRAINED + ["val"] * VALIDATED
    split = pd.DataFrame({"image_id": names, "fold": 0, "side": sides})
    with tempfile.TemporaryDirectory() as store:
        training = Training(ROW, TRAIN, Augment(), data, split, Path(store))
        list(training.folds(on_epoch=lambda epoch: ended()))


def fit_on_arrays(ended: EpochEnded) -> None:
    """The same model, optimiser and batches."""
    import keras

    from leukoscope.features.backbones import batchnorms, build_backbone, trunk_of
    from leukoscope.training.assembly import trainable_model
    from leukoscope.training.fitting import targets
    from leukoscope.training.heads import build_head, compile_for_training

    backbone = build_backbone(ROW.backbone, ROW.weights, FRAME, SIZE)
    for norm in batchnorms(trunk_of(backbone)):
        norm.trainable = False
    model = trainable_model(backbone, build_head(ROW, backbone.output.shape[-1]), ROW.pooling, "plain")
    compile_for_training(model, ROW.learning_rate)
    pictures, labels = _pictures_and_labels()
    x, y = pictures.astype(np.float32), targets(labels)
    model.fit(
        x[:TRAINED],
        y[:TRAINED],
        validation_data=(x[TRAINED:], y[TRAINED:]),
        batch_size=TRAIN.batch_size,
        epochs=TRAIN.epochs,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ended())],
        verbose=0,
    )


def _pictures_and_labels() -> tuple[np.ndarray, np.ndarray]:
    drawn = np.stack([frame_and_resize(cell, FRAME, SIZE) for cell in cells(40)])
    return np.tile(drawn, ((TRAINED + VALIDATED) // 40, 1, 1, 1)), np.arange(TRAINED + VALIDATED) % 2


class _Paused:
    """A training in a process of its own that waits before each epoch. Its first one, which traces, is behind it."""

    def __init__(self, train: Callable[[EpochEnded], None]) -> None:
        self._connection, there = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_serve, args=(train, there))
        self._process.start()
        there.close()
        self._connection.recv()

    def epoch(self) -> float:
        """Run another epoch; its seconds."""
        self._connection.send(GO_ON)
        return float(self._connection.recv())

    def end(self) -> None:
        """End the training where it waits."""
        self._connection.send(END)
        self._process.join()


def _serve(train: Callable[[EpochEnded], None], connection: Connection) -> None:
    started = time.perf_counter()

    def ended() -> None:
        nonlocal started
        connection.send(time.perf_counter() - started)
        if connection.recv() == END:
            sys.exit()
        started = time.perf_counter()

    train(ended)


if __name__ == "__main__":
    main()
