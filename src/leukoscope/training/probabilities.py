"""p(ALL) of one fold's model for images of the training data: the mean over the row's turns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from leukoscope.config.rows import ModelSettings
from leukoscope.imaging.turns import turned, turns_of
from leukoscope.training.task import TrainingData

PREDICTED_AT_ONCE = 64  # pictures in memory as floats


def predict(
    sigmoids: Callable[[np.ndarray], np.ndarray], row: ModelSettings, data: TrainingData, positions: np.ndarray
) -> np.ndarray:
    """p(ALL) float64 [positions] of one fold's model for the images at `positions`: the mean over the row's rotations.

    `sigmoids` is the model: from features or framed pixels [n, ...] float32 to [n, 2].
    """
    inputs = {"frozen": _features_by_turn, "finetune": _pictures_by_turn}[row.mode](row, data, positions)
    return np.mean([np.concatenate([_p_all(sigmoids(part)) for part in of_turn]) for of_turn in inputs], axis=0)


def _p_all(sigmoids: np.ndarray) -> np.ndarray:
    hem, positive = sigmoids.astype(np.float64).T
    return positive / np.maximum(hem + positive, 1e-30)


def _features_by_turn(row: ModelSettings, data: TrainingData, positions: np.ndarray) -> Iterator[Iterable[np.ndarray]]:
    """For each turn the features of its view, in one part."""
    for view in [0, *range(1 + row.views, row.views + row.rotations)]:
        yield [data.vectors()[positions, view]]


def _pictures_by_turn(row: ModelSettings, data: TrainingData, positions: np.ndarray) -> Iterator[Iterable[np.ndarray]]:
    """For each turn the turned pictures, in parts that fit into memory."""
    parts = [positions[start : start + PREDICTED_AT_ONCE] for start in range(0, len(positions), PREDICTED_AT_ONCE)]
    for turn in turns_of(row.rotations):
        yield (turned(data.pictures()[part], turn).astype(np.float32) for part in parts)
