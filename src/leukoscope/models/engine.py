"""Models on OpenVINO: the float32 values of Keras `predict`, several times as fast on a CPU, and no TensorFlow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leukoscope.atomic import new_folder, write_json
from leukoscope.models.architecture import LayerFacts, describe
from leukoscope.models.assembly import pool
from leukoscope.models.backbones import build_backbone

if TYPE_CHECKING:
    import keras
    import openvino as ov

BATCH = 8
LAYERS_FILE = "layers.json"
_EXPORT_SAVED = (
    "import sys, keras; saved, path = sys.argv[1:]; "
    "keras.saving.load_model(saved, safe_mode=True).export(path, format='openvino', verbose=False)"
)


def converted_backbone(name: str, weights: str, frame: int, size: int, folder: Path) -> Path:
    """The backbone with both poolings joined, as OpenVINO's IR in `folder`, converted when it is not there yet.

    It maps pixels [n, size, size, 3] to [n, 2 * channels]: the average-pooled vector, then the max-pooled one. Beside
    it lies what the backbone consists of, for `converted_layers`.
    """
    target = folder / "backbone.xml"
    if target.exists() and (folder / LAYERS_FILE).exists():
        return target
    model = build_backbone(name, weights, frame, size)
    import keras
    from keras import ops

    both = ops.concatenate([pool(model.output, "avg"), pool(model.output, "max")], axis=-1)
    with new_folder(folder) as part:
        export(keras.Model(model.input, both), part / "backbone.xml")
        write_json(part / LAYERS_FILE, describe(model))
    return target


def converted_layers(converted: Path) -> list[LayerFacts]:
    """The backbone's layers, from its scaling to its last feature map, of what `converted_backbone` returned."""
    layers: list[LayerFacts] = json.loads(converted.with_name(LAYERS_FILE).read_text())
    return layers


def export(model: keras.Model, path: Path) -> None:
    """Write a Keras model as OpenVINO's IR: `path`, which ends in .xml, and a .bin beside it.

    OpenVINO converts TensorFlow's graphs and not those that JAX writes today, so on any other backend a process of its
    own reads the saved model on TensorFlow and converts it there.
    """
    import keras

    if keras.backend.backend() == "tensorflow":
        model.export(str(path), format="openvino", verbose=False)
        return
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model.keras"
        model.save(saved)
        command = [sys.executable, "-c", _EXPORT_SAVED, str(saved), str(path)]
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
        done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"{model.name} could not be converted for OpenVINO: {done.stderr}")


def compiled(path: Path, shape: list[int] | None = None, **options: Any) -> ov.CompiledModel:
    """The IR at `path`, ready to run in float32 on this machine's CPU, its input reshaped where `shape` is given."""
    import openvino as ov

    core = ov.Core()
    model = core.read_model(path)
    if shape:
        model.reshape(shape)
    # Newer CPUs would compute in bfloat16 unless told otherwise, and the values would depend on the machine.
    return core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", **options})


class PooledFeatures:
    """A compiled backbone that pools pictures in fixed batches, so a vector never depends on its neighbours."""

    def __init__(self, path: Path, size: int) -> None:
        self._compiled = compiled(path, [BATCH, size, size, 3], PERFORMANCE_HINT="THROUGHPUT")
        self._at_once = self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self.size = size
        self.width = int(self._compiled.output(0).partial_shape[1].get_length())

    def run(self, pictures: Sequence[Callable[[], np.ndarray]], done: Callable[[int], None]) -> np.ndarray:
        """Vectors [pictures, width] of pictures, each read by a call that gives uint8 [size, size, 3].

        `done(n)` is told of every `n` more pictures finished.
        """
        count = len(pictures)
        out = np.empty((count, self.width), np.float32)
        # Waited for here and not told by callbacks: OpenVINO's threads would need Python's lock for those, and
        # when a compiled model goes it holds that lock and waits for its threads.
        requests = [self._compiled.create_infer_request() for _ in range(self._at_once)]
        firsts = range(0, count, BATCH)

        def keep(batch: int) -> None:
            first, request = firsts[batch], requests[batch % len(requests)]
            request.wait()
            last = min(first + BATCH, count)
            out[first:last] = request.get_output_tensor(0).data[: last - first]
            done(last - first)

        for batch, first in enumerate(firsts):
            pixels = np.zeros((BATCH, self.size, self.size, 3), np.float32)
            for position, picture in enumerate(pictures[first : first + BATCH]):
                pixels[position] = picture()
            if batch >= len(requests):
                keep(batch - len(requests))
            requests[batch % len(requests)].start_async({0: pixels})
        for batch in range(max(0, len(firsts) - len(requests)), len(firsts)):
            keep(batch)
        return out
