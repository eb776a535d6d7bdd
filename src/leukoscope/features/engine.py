"""Models on OpenVINO: the float32 values of Keras `predict`, several times as fast on a CPU, and no TensorFlow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leukoscope.artifacts.layers import LayerFacts
from leukoscope.core.files import new_folder, write_json
from leukoscope.features.architecture import describe
from leukoscope.features.backbones import build_backbone
from leukoscope.features.cell_statistics import statistics_model
from leukoscope.features.keras_loading import load_keras
from leukoscope.features.pooling import feature_model, poolings_beside

if TYPE_CHECKING:
    import keras
    import openvino as ov


BATCH = 8
GPU_BATCH = 64
LAYERS_FILE = "layers.json"
MAPS_FILE = "maps.json"
_EXPORT_SAVED = (
    "import sys, keras; saved, path = sys.argv[1:]; "
    "keras.saving.load_model(saved, safe_mode=True).export(path, format='openvino', verbose=False)"
)


def converted_backbone(
    name: str,
    weights: str,
    frame: int,
    size: int,
    folder: Path,
    *,
    taps: Sequence[str] = (),
    pooling: str = "max",
    colours: str = "raw",
    shrink: int = 1,
) -> Path:
    """The backbone with its poolings joined, as OpenVINO's IR in `folder`, converted when it is not there yet.

    It maps pixels [n, size, size, 3], which it shrinks itself, to the vectors of all `poolings_beside` this one: the
    average-pooled vector, then the max-pooled one. Beside it lies what the backbone consists of, for `converted_layers`
    and `map_channels`.
    """
    target = folder / "backbone.xml"
    if all(path.exists() for path in (target, folder / LAYERS_FILE, folder / MAPS_FILE)):
        return target
    model = build_backbone(name, weights, frame, size // shrink, taps)
    with new_folder(folder) as part:
        export(pooled(model, pooling, colours, shrink), part / target.name)
        write_json(part / LAYERS_FILE, describe(model))
        write_json(part / MAPS_FILE, [int(one.shape[-1]) for one in model.outputs])
    return target


def pooled(backbone: keras.Model, pooling: str, colours: str, shrink: int) -> keras.Model:
    """Framed pixels to the vectors of all `poolings_beside` this one: what `converted_backbone` converts."""
    return feature_model(backbone, poolings_beside(pooling), colours, shrink)


def converted_statistics(names: Sequence[str], frame: int, size: int, folder: Path) -> Path:
    """The model of a cell's statistics `names`, as OpenVINO's IR in `folder`, converted when it is not there yet.

    It maps framed pixels [n, size, size, 3] to `cell_statistics.statistics`.
    """
    target = folder / "statistics.xml"
    if not target.exists():
        load_keras()
        with new_folder(folder) as part:
            export(statistics_model(names, frame, size), part / target.name)
    return target


def converted_layers(converted: Path) -> list[LayerFacts]:
    """The backbone's layers, from its scaling to its last feature map, of what `converted_backbone` returned."""
    layers: list[LayerFacts] = json.loads(converted.with_name(LAYERS_FILE).read_text())
    return layers


def map_channels(converted: Path) -> list[int]:
    """The channels of each tap's map, or of the last map, of what `converted_backbone` returned."""
    channels: list[int] = json.loads(converted.with_name(MAPS_FILE).read_text())
    return channels


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
    # Keras's swish and image layers leave outputs behind that nobody asked for: computing EfficientNetB3's 78 took as
    # long again as its own.
    model = ov.Model([model.output(0)], model.get_parameters())
    if shape:
        model.reshape(shape)
    # Newer CPUs would compute in bfloat16 unless told otherwise, and the values would depend on the machine.
    return core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", **options})


class FixedBatches:
    """A compiled model that takes its inputs in batches of one size, so what it says of one never depends on others.

    Several batches are computed at once, as many as suit the machine, and no more inputs than theirs are in memory.
    """

    def __init__(self, path: Path, shape: Sequence[int], cpus: int | None = None) -> None:
        """The IR at `path` for inputs float32 of `shape`, whose first number is the batch's, on `cpus` cores or all."""
        some = {} if cpus is None else {"INFERENCE_NUM_THREADS": cpus}
        self._compiled = compiled(path, list(shape), PERFORMANCE_HINT="THROUGHPUT", **some)
        self._batch = shape[0]
        self.width = int(self._compiled.output(0).partial_shape[1].get_length())

    def answers(self, inputs: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """What the model says of `inputs` [...] of any type, in their order: float32 [up to a batch, width] at a time.

        Inputs are taken from the iterable as there is room for them.
        """
        # Waited for here and not told by callbacks: OpenVINO's threads would need Python's lock for those, and
        # when a compiled model goes it holds that lock and waits for its threads.
        at_once = self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        idle = deque(self._compiled.create_infer_request() for _ in range(at_once))
        running: deque[tuple[ov.InferRequest, int]] = deque()
        left = iter(inputs)
        while part := list(islice(left, self._batch)):
            if not idle:
                yield _answer(running, idle)
            request = idle.popleft()
            pixels = request.get_input_tensor().data
            for position, one in enumerate(part):
                pixels[position] = one
            pixels[len(part) :] = 0
            request.start_async()
            running.append((request, len(part)))
        while running:
            yield _answer(running, idle)


def _answer(running: deque[tuple[ov.InferRequest, int]], idle: deque[ov.InferRequest]) -> np.ndarray:
    """What the request says that was started first; it may be used again."""
    request, count = running.popleft()
    request.wait()
    idle.append(request)
    return np.array(request.get_output_tensor().data[:count])


class PooledFeatures:
    """A compiled backbone that pools pictures."""

    def __init__(self, path: Path, size: int, cpus: int | None = None) -> None:
        self._model = FixedBatches(path, [BATCH, size, size, 3], cpus)
        self.width = self._model.width

    def run(self, pictures: Sequence[Callable[[], np.ndarray]], done: Callable[[int], None]) -> np.ndarray:
        """Vectors [pictures, width] of pictures, each read by a call that gives uint8 [size, size, 3].

        `done(n)` is told of every `n` more pictures finished.
        """
        out = np.empty((len(pictures), self.width), np.float32)
        finished = 0
        for vectors in self._model.answers(picture() for picture in pictures):
            out[finished : finished + len(vectors)] = vectors
            finished += len(vectors)
            done(len(vectors))
        return out


class KerasFeatures:
    """A pass's model on Keras: for GPUs. Its vectors equal OpenVINO's but for the last bits."""

    def __init__(self, model: keras.Model) -> None:
        self._model = model

    def run(self, pictures: Sequence[Callable[[], np.ndarray]], done: Callable[[int], None]) -> np.ndarray:
        """As `PooledFeatures.run`."""
        parts = []
        for vectors in keras_answers(self._model, (picture() for picture in pictures)):
            parts.append(vectors)
            done(len(vectors))
        return np.concatenate(parts)


def keras_answers(model: keras.Model, pictures: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """What a Keras model says of pictures uint8 [h, w, 3] of one size: [up to GPU_BATCH, width] at a time."""
    left = iter(pictures)
    while part := list(islice(left, GPU_BATCH)):
        pixels = np.zeros((GPU_BATCH, *part[0].shape), np.float32)  # of one size, so that there is one graph
        pixels[: len(part)] = part
        yield model.predict_on_batch(pixels)[: len(part)]
