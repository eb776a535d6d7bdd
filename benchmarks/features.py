"""Frozen features of a backbone on our engine, beside Keras's `predict` and beside a bare OpenVINO loop."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.measuring import Measured, Reach, cells, report, side_by_side, speed
from leukoscope.features.backbones import build_backbone
from leukoscope.features.engine import BATCH, PooledFeatures, export
from leukoscope.features.keras_loading import load_keras
from leukoscope.imaging.framing import frame_and_resize
from leukoscope.training.assembly import pool

FRAME, SIZE, PICTURES = 300, 224, 32  # one batch of Keras's default size
BESIDE_KERAS = {"efficientnetb3": 2.5, "mobilenetv2": 4, "resnet50": 1.5, "densenet121": 1.5, "inceptionv3": 1.2}
BESIDE_A_BARE_LOOP = Reach(0.9)


def main() -> None:
    """Measure and report."""
    load_keras()
    pictures = np.stack([frame_and_resize(cell, FRAME, SIZE) for cell in cells(PICTURES)])
    measured = [one for name, least in BESIDE_KERAS.items() for one in of_backbone(name, Reach(least), pictures)]
    report(*measured)


def of_backbone(name: str, beside_keras: Reach, pictures: np.ndarray) -> list[Measured]:
    """One backbone's figures. Raises AssertionError where our values are not Keras's."""
    import keras

    backbone = build_backbone(name, "none", FRAME, SIZE)
    both = [pool(backbone.output, pooling) for pooling in ("avg", "max")]
    model = keras.Model(backbone.input, keras.ops.concatenate(both, axis=-1))
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder) / "backbone.xml"
        export(model, converted)
        engine, bare = PooledFeatures(converted, SIZE), BareLoop(converted, pictures)
    as_floats = pictures.astype(np.float32)
    reads = [partial(pictures.__getitem__, position) for position in range(len(pictures))]

    def ours() -> np.ndarray:
        return engine.run(reads, lambda done: None)

    def keras_predict() -> np.ndarray:
        return model.predict(as_floats, verbose=0)

    expected = keras_predict()
    np.testing.assert_allclose(ours(), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    bare.run()
    seconds, keras_seconds, bare_seconds = side_by_side(3, ours, keras_predict, bare.run)
    keras.backend.clear_session()
    limit = median(theirs / itself for theirs, itself in zip(keras_seconds, bare_seconds, strict=True))
    beside = speed(f"features / {name} / Keras predict", PICTURES, "images", seconds, keras_seconds, beside_keras)
    return [
        replace(beside, bound=f"a bare OpenVINO loop has {limit:.2f}"),
        speed(f"features / {name} / bare OpenVINO", PICTURES, "images", seconds, bare_seconds, BESIDE_A_BARE_LOOP),
    ]


class BareLoop:
    """What OpenVINO's documentation shows for throughput: a queue of requests, fed with batches that are ready."""

    def __init__(self, converted: Path, pictures: np.ndarray) -> None:
        import openvino as ov

        core = ov.Core()
        model = core.read_model(converted)
        model = ov.Model([model.output(0)], model.get_parameters())  # as the engine has it
        model.reshape([BATCH, SIZE, SIZE, 3])
        options = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
        self._compiled = core.compile_model(model, "CPU", options)
        self._queue = ov.AsyncInferQueue(self._compiled)
        self._batches = [pictures[at : at + BATCH].astype(np.float32) for at in range(0, len(pictures), BATCH)]

    def run(self) -> None:
        """All pictures once."""
        for batch in self._batches:
            self._queue.start_async({0: batch})
        self._queue.wait_all()


if __name__ == "__main__":
    main()
