"""Training one row under one protocol: a model for each fold, its history, and what it gives for every image.

`frozen` trains a head on cached features; `finetune` trains the head first and then all layers on augmented pictures.
Both keep the weights of the best epoch on val and never look at the test side.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from leukoscope.core.arrays import mapped
from leukoscope.core.progress import progress
from leukoscope.features.keras_loading import load_keras
from leukoscope.training.fitting import EpochEnd, History, Vectors
from leukoscope.training.heads import build_head
from leukoscope.training.task import Task, TrainedFold

if TYPE_CHECKING:
    import keras

GATHERED_AT_ONCE = 1024  # images


class Training(Task):
    """A row's training under a protocol.

    A finetuning that was killed goes on from its last finished epoch when it is made again, with the same result as
    if nothing had happened. What it keeps for that stays until `forget`.
    """

    def folds(
        self, on_epoch: EpochEnd = lambda epoch: None, past: EpochEnd = lambda epoch: None
    ) -> Iterator[TrainedFold]:
        """Train every fold in turn. `on_epoch` is told of each epoch as it ends, `past` of those before a kill."""
        load_keras()
        import keras

        folds = [sides for _, sides in self.split.groupby("fold")]
        most = self._most_epochs()
        with progress("training", len(folds) * most, "epochs") as work:
            for sides in folds:
                fold = int(sides["fold"].iloc[0])
                keras.utils.set_random_seed(self.seed(fold))
                history = History(fold, on_epoch, past, work)
                model = self._trained(sides, f"fold_{fold}", history)
                work.spare(most - len(history.epochs))
                if self.with_val and self.row.trains_on_val:
                    final = self._with_val(sides, f"fold_{fold}")
                    yield TrainedFold(fold, final, history.epochs, before_val=model)
                else:
                    yield TrainedFold(fold, model, history.epochs)

    def final(self) -> keras.Model:
        """The model of a split of one fold alone, without one before val trains: where nothing is asked about val."""
        load_keras()
        if self.row.trains_on_val:
            return self._with_val(self.split, "final")
        (trained,) = self.folds()
        return trained.model

    def _most_epochs(self) -> int:
        """As many epochs as a fold may take: a kernel head takes one, and finetuning trains the head first."""
        if self.row.head == "kernel":
            return 1
        return self.settings.epochs + (self.settings.head_epochs if self.row.mode == "finetune" else 0)

    @cached_property
    def checkpoints(self) -> Path:
        """The folder of the folds' last epochs, named by a hash of everything that determines the training."""
        from leukoscope.training.checkpoints import training_key

        return self.store / "training" / training_key(self)

    def forget(self) -> None:
        """Remove what was kept against a kill: the training's outputs are in place."""
        if self.row.mode == "finetune" and self.checkpoints.exists():
            shutil.rmtree(self.checkpoints)

    def _trained(self, sides: pd.DataFrame, name: str, history: History) -> keras.Model:
        if self.row.mode == "frozen":
            return self._frozen(sides, name, history)
        from leukoscope.training.finetuning import finetune

        return finetune(self, sides, name, history, self.checkpoints / f"fold_{history.fold}.npz")

    def _frozen(self, sides: pd.DataFrame, name: str, history: History) -> keras.Model:
        train, val = self._vectors(sides, ["train"], 1 + self.row.views), self._vectors(sides, ["val"], 1)
        if self.row.head == "kernel":
            from leukoscope.training.kernel import fit_kernel_head

            return fit_kernel_head(self.row, train, val, name, history)
        head = build_head(self.row, self.data.vectors().shape[-1], name)
        self.heads.fit(head, self.settings.epochs, train, val, history)
        return head

    def _with_val(self, sides: pd.DataFrame, name: str) -> keras.Model:
        from leukoscope.training.kernel import Machine, as_layers

        return as_layers(Machine.fit(self.row, self._vectors(sides, ["train", "val"], 1 + self.row.views)), name)

    def _vectors(self, sides: pd.DataFrame, named: list[str], views: int) -> Vectors:
        at = np.sort(np.concatenate([self.data.positions(sides, side) for side in named]))
        features = gathered(self.data.vectors(), at, views, self.store / "scratch")
        return Vectors(features, self.data.labels[at], self.data.groups[at])


def gathered(features: np.ndarray, positions: np.ndarray, views: int, folder: Path) -> np.ndarray:
    """The first `views` of `features` [images, views, channels] at `positions`, mapped."""
    chosen = mapped((len(positions), views, features.shape[-1]), folder)
    for start in range(0, len(positions), GATHERED_AT_ONCE):
        part = slice(start, start + GATHERED_AT_ONCE)
        chosen[part] = features[positions[part], :views]
    return chosen
