"""A registered model on OpenVINO: from framed pictures to p(ALL), without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leukoscope.features.engine import FixedBatches, export, keras_answers
from leukoscope.features.keras_loading import load_saved

if TYPE_CHECKING:
    import keras


SCORING_FILE = Path("openvino", "model.xml")  # in a registered version, beside what MLflow puts there
BATCH = 8


def export_scoring(model: keras.Model, frame: int, path: Path) -> None:
    """Write a saved model (`training.assembly`) as OpenVINO's IR `path`, for pictures of `frame` pixels alone.

    One size lets OpenVINO plan its memory; what a model sees of a picture of any other size is its framed picture.
    """
    import keras

    framed = keras.Input((frame, frame, 3), name="framed")
    export(keras.Model(framed, model(framed)), path)


class Scorer:
    """The IR of a registered model, ready to run."""

    def __init__(self, path: Path, frame: int, rotations: int, cpus: int | None = None) -> None:
        """The IR at `path`, of a model that sees `frame` pixels and makes one batch of all `rotations`.

        It computes on `cpus` cores, or on all.
        """
        self._model = FixedBatches(path, [max(1, BATCH // rotations), frame, frame, 3], cpus)

    def p_all(self, framed: Iterable[np.ndarray]) -> Iterator[float]:
        """p(ALL) of pictures uint8 [frame, frame, 3], as `imaging.framing.centre_frame` makes them, in their order."""
        for answers in self._model.answers(framed):
            yield from map(float, answers[:, 0])


class KerasScorer:
    """The same model as it was saved, on TensorFlow: for GPUs. Its p equals OpenVINO's to 1e-4."""

    def __init__(self, saved: Path) -> None:
        """The .keras file `saved`. Raises DataError as `load_saved` does."""
        self._model = load_saved(saved)

    def p_all(self, framed: Iterable[np.ndarray]) -> Iterator[float]:
        """p(ALL) of pictures uint8 [frame, frame, 3], in their order."""
        for answers in keras_answers(self._model, framed):
            yield from map(float, answers[:, 0])
