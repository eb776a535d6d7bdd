"""Training one row under one protocol: a model for each fold, its history, and what it gives for every image.

`frozen` trains a head on cached features; `finetune` trains the head first and then all layers on augmented pictures.
Both keep the weights of the best epoch on val and never look at the test side.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from leukoscope import config
from leukoscope.models import load_keras
from leukoscope.models.fitting import EpochEnd, HeadFitter, History, Vectors
from leukoscope.models.heads import build_head
from leukoscope.models.mapped import gathered
from leukoscope.models.views import turned, turns_of

if TYPE_CHECKING:
    import keras

PREDICTED_AT_ONCE = 64  # pictures in memory as floats


@dataclass(frozen=True)
class TrainingData:
    """What folds train on. Arrays are in the order of images.parquet.

    `features` [images, views, channels] (as `embedding.embed` orders the views) for frozen rows, `packed` uint8
    [images, size, size, 3] for finetuned ones; the other is None. `labels` holds 0, 1, or -1 where there is none.
    """

    image_ids: np.ndarray
    sha256: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    features: np.ndarray | None
    packed: np.ndarray | None

    def positions(self, fold: pd.DataFrame, side: str) -> np.ndarray:
        """Positions of one side's images, ascending."""
        return np.flatnonzero(np.isin(self.image_ids, fold.loc[fold["side"] == side, "image_id"].to_numpy()))

    def vectors(self) -> np.ndarray:
        """The features. Raises ValueError for the data of a row that finetunes."""
        if self.features is None:
            raise ValueError("a frozen row needs features")
        return self.features

    def pictures(self) -> np.ndarray:
        """The packed pictures. Raises ValueError for the data of a frozen row."""
        if self.packed is None:
            raise ValueError("a row that finetunes needs packed pictures")
        return self.packed


@dataclass(frozen=True)
class TrainedFold:
    """A fold's model (features or framed pixels to two sigmoids) and its epochs, as dicts of HISTORY_COLUMNS.

    Where val's images trained it, `before_val` is the same of the train side alone: what may be asked about val.
    """

    fold: int
    model: keras.Model
    history: list[dict[str, float]]
    before_val: keras.Model | None = None


@dataclass(frozen=True)
class Training:
    """A row's training under a protocol's `split`: all that determines it, and the store of work not to be done twice.

    A finetuning that was killed goes on from its last finished epoch when it is made again, with the same result as
    if nothing had happened. What it keeps for that stays until `forget`.
    """

    row: config.ModelSettings
    settings: config.Train
    augment: config.Augment
    data: TrainingData
    split: pd.DataFrame
    store: Path
    with_val: bool = True

    def folds(
        self, on_epoch: EpochEnd = lambda epoch: None, past: EpochEnd = lambda epoch: None
    ) -> Iterator[TrainedFold]:
        """Train every fold in turn. `on_epoch` is told of each epoch as it ends, `past` of those before a kill."""
        load_keras()
        import keras

        for _, sides in self.split.groupby("fold"):
            fold = int(sides["fold"].iloc[0])
            keras.utils.set_random_seed(self.seed(fold))
            history = History(fold, on_epoch, past)
            model = self._trained(sides, f"fold_{fold}", history)
            if self.with_val and self.row.trains_on_val:
                yield TrainedFold(fold, self._with_val(sides, f"fold_{fold}"), history.epochs, before_val=model)
            else:
                yield TrainedFold(fold, model, history.epochs)

    def seed(self, fold: int) -> int:
        """The fold's number is part of its seed, so folds may be trained in any order or alone."""
        return self.settings.seed + 1000 * fold

    @cached_property
    def heads(self) -> HeadFitter:
        """What fits the heads of all folds."""
        return HeadFitter(self.row, self.settings)

    @cached_property
    def checkpoints(self) -> Path:
        """The folder of the folds' last epochs, named by a hash of everything that determines the training."""
        from leukoscope.models.checkpoints import training_key

        return self.store / "training" / training_key(self)

    def forget(self) -> None:
        """Remove what was kept against a kill: the training's outputs are in place."""
        if self.row.mode == "finetune" and self.checkpoints.exists():
            shutil.rmtree(self.checkpoints)

    def _trained(self, sides: pd.DataFrame, name: str, history: History) -> keras.Model:
        if self.row.mode == "frozen":
            return self._frozen(sides, name, history)
        from leukoscope.models.finetuning import finetune

        return finetune(self, sides, name, history)

    def _frozen(self, sides: pd.DataFrame, name: str, history: History) -> keras.Model:
        train, val = self._vectors(sides, ["train"], 1 + self.row.views), self._vectors(sides, ["val"], 1)
        if self.row.head == "kernel":
            from leukoscope.models.kernel import fit_kernel_head

            return fit_kernel_head(self.row, train, val, name, history)
        head = build_head(self.row, self.data.vectors().shape[-1], name)
        self.heads.fit(head, self.settings.epochs, train, val, history)
        return head

    def _with_val(self, sides: pd.DataFrame, name: str) -> keras.Model:
        from leukoscope.models.kernel import Machine, as_layers

        return as_layers(Machine.fit(self.row, self._vectors(sides, ["train", "val"], 1 + self.row.views)), name)

    def _vectors(self, sides: pd.DataFrame, named: list[str], views: int) -> Vectors:
        at = np.sort(np.concatenate([self.data.positions(sides, side) for side in named]))
        features = gathered(self.data.vectors(), at, views, self.store / "scratch")
        return Vectors(features, self.data.labels[at], self.data.groups[at])


def predict(
    sigmoids: Callable[[np.ndarray], np.ndarray], row: config.ModelSettings, data: TrainingData, positions: np.ndarray
) -> np.ndarray:
    """p(ALL) float64 [positions] of one fold's model for the images at `positions`: the mean over the row's rotations.

    `sigmoids` is the model: from features or framed pixels [n, ...] float32 to [n, 2].
    """
    inputs = {"frozen": _features_by_turn, "finetune": _pictures_by_turn}[row.mode](row, data, positions)
    return np.mean([np.concatenate([_p_all(sigmoids(part)) for part in of_turn]) for of_turn in inputs], axis=0)


def _p_all(sigmoids: np.ndarray) -> np.ndarray:
    hem, positive = sigmoids.astype(np.float64).T
    return positive / np.maximum(hem + positive, 1e-30)


def _features_by_turn(
    row: config.ModelSettings, data: TrainingData, positions: np.ndarray
) -> Iterator[Iterable[np.ndarray]]:
    """For each turn the features of its view, in one part."""
    for view in [0, *range(1 + row.views, row.views + row.rotations)]:
        yield [data.vectors()[positions, view]]


def _pictures_by_turn(
    row: config.ModelSettings, data: TrainingData, positions: np.ndarray
) -> Iterator[Iterable[np.ndarray]]:
    """For each turn the turned pictures, in parts that fit into memory."""
    parts = [positions[start : start + PREDICTED_AT_ONCE] for start in range(0, len(positions), PREDICTED_AT_ONCE)]
    for turn in turns_of(row.rotations):
        yield (turned(data.pictures()[part], turn).astype(np.float32) for part in parts)
