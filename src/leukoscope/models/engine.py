"""Backbones on OpenVINO: the same float32 values as Keras `predict`, several times as fast on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from leukoscope.atomic import new_folder
from leukoscope.models.assembly import pool
from leukoscope.models.backbones import build_backbone

BATCH = 8


def converted_backbone(name: str, weights: str, frame: int, size: int, folder: Path) -> Path:
    """The backbone with both poolings joined, as OpenVINO's IR in `folder`, converted when it is not there yet.

    It maps pixels [n, size, size, 3] to [n, 2 * channels]: the average-pooled vector, then the max-pooled one.
    """
    target = folder / "backbone.xml"
    if target.exists():
        return target
    model = build_backbone(name, weights, frame, size)
    import keras
    from keras import ops

    both = ops.concatenate([pool(model.output, "avg"), pool(model.output, "max")], axis=-1)
    with new_folder(folder) as part:
        keras.Model(model.input, both).export(str(part / "backbone.xml"), format="openvino", verbose=False)
    return target


class PooledFeatures:
    """A compiled backbone that pools pictures in fixed batches, so a vector never depends on its neighbours."""

    def __init__(self, path: Path, size: int) -> None:
        import openvino as ov

        core = ov.Core()
        model = core.read_model(path)
        model.reshape([BATCH, size, size, 3])
        # Newer CPUs would compute in bfloat16 unless told otherwise, and the values would depend on the machine.
        options = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
        self._compiled = core.compile_model(model, "CPU", options)
        self.size = size
        self.width = int(self._compiled.output(0).partial_shape[1].get_length())

    def run(self, pictures: Sequence[Callable[[], np.ndarray]], done: Callable[[int], None]) -> np.ndarray:
        """Vectors [pictures, width] of pictures, each read by a call that gives uint8 [size, size, 3].

        `done(n)` is told of every `n` more pictures finished.
        """
        import openvino as ov

        count = len(pictures)
        out = np.empty((count, self.width), np.float32)
        queue = ov.AsyncInferQueue(self._compiled)

        def keep(request: ov.InferRequest, first: int) -> None:
            last = min(first + BATCH, count)
            out[first:last] = request.get_output_tensor(0).data[: last - first]
            done(last - first)

        queue.set_callback(keep)
        for first in range(0, count, BATCH):
            batch = np.zeros((BATCH, self.size, self.size, 3), np.float32)
            for position, picture in enumerate(pictures[first : first + BATCH]):
                batch[position] = picture()
            queue.start_async({0: batch}, first)
        queue.wait_all()
        return out
