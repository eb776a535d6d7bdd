"""A study of 50 trials of a head on 2,000 images in 5 grouped folds, beside the same study by Keras `fit` on images.

Both are extrapolated from measured parts, since the peer's takes days: ours from a pass of some pictures and one fold's
fit, the peer's from steps on pictures. Every fit takes EPOCHS epochs in both; what stops early, stops early in both.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.measuring import Reach, cells, duration, report, side_by_side
from leukoscope.config.params import Train
from leukoscope.config.rows import ModelSettings
from leukoscope.features.backbones import build_backbone
from leukoscope.features.engine import PooledFeatures, converted_backbone
from leukoscope.features.keras_loading import load_keras
from leukoscope.imaging.framing import frame_and_resize
from leukoscope.training.fitting import HeadFitter, History, Vectors, targets
from leukoscope.training.heads import build_head, compile_for_training

if TYPE_CHECKING:
    import keras

FRAME, SIZE, CHANNELS = 300, 224, 1280
IMAGES, FOLDS, TRIALS, EPOCHS = 2000, 5, 50, 20
TRAINED, VALIDATED = IMAGES - IMAGES // FOLDS, IMAGES // FOLDS
PICTURES = 80  # of a measured pass, and of the peer's measured steps
ROW = ModelSettings(backbone="mobilenetv2", weights="none", frame=FRAME, size=SIZE, pooling="max")
TRAIN = Train(epochs=EPOCHS, patience=EPOCHS)


def main() -> None:
    """Measure and report."""
    load_keras()
    pictures = np.stack([frame_and_resize(cell, FRAME, SIZE) for cell in cells(PICTURES)])
    labels = np.arange(PICTURES) % 2
    with tempfile.TemporaryDirectory() as folder:
        engine = PooledFeatures(converted_backbone(ROW.backbone, ROW.weights, FRAME, SIZE, Path(folder)), SIZE)
    reads = [partial(pictures.__getitem__, position) for position in range(PICTURES)]
    fit_one_fold = our_fold()
    peer = keras_on_images()
    as_floats = pictures.astype(np.float32)

    def peer_steps() -> None:
        peer.fit(as_floats, targets(labels), batch_size=TRAIN.batch_size, verbose=0)

    def peer_validation() -> None:
        peer.evaluate(as_floats, targets(labels), batch_size=TRAIN.batch_size, verbose=0)

    ways = (lambda: engine.run(reads, lambda done: None), fit_one_fold, peer_steps, peer_validation)
    for way in ways:  # a first time traces
        way()
    passes, fits, steps, validations = side_by_side(3, *ways)
    ours = [IMAGES / PICTURES * one_pass + TRIALS * FOLDS * fit for one_pass, fit in zip(passes, fits, strict=True)]
    epochs = TRIALS * FOLDS * EPOCHS
    theirs = [
        epochs * (TRAINED * step + VALIDATED * validation) / PICTURES
        for step, validation in zip(steps, validations, strict=True)
    ]
    report(duration("study of 50 trials, extrapolated / Keras fit on images", ours, theirs, Reach(100)))


def our_fold() -> partial[None]:
    """A call that fits the head of one fold on features."""
    rng = np.random.default_rng(7)

    def side(images: int) -> Vectors:
        features = rng.normal(size=(images, 1, CHANNELS)).astype(np.float32)
        return Vectors(features, np.arange(images) % 2, np.full(images, "one"))

    fitter, train, val = HeadFitter(ROW, TRAIN), side(TRAINED), side(VALIDATED)
    return partial(_fit, fitter, train, val)


def _fit(fitter: HeadFitter, train: Vectors, val: Vectors) -> None:
    history = History(0, on_epoch=lambda epoch: None, past=lambda epoch: None)
    fitter.fit(build_head(ROW, CHANNELS), EPOCHS, train, val, history)
    assert len(history.epochs) == EPOCHS


def keras_on_images() -> keras.Model:
    """The head on a frozen backbone, from pictures, as Keras's transfer-learning guide builds it."""
    import keras

    backbone = build_backbone(ROW.backbone, ROW.weights, FRAME, SIZE)
    backbone.trainable = False
    pictures = keras.Input((SIZE, SIZE, 3))
    vectors = keras.layers.GlobalMaxPooling2D()(backbone(pictures, training=False))
    model = keras.Model(pictures, build_head(ROW, CHANNELS)(vectors))
    compile_for_training(model, ROW.learning_rate)
    return model


if __name__ == "__main__":
    main()
