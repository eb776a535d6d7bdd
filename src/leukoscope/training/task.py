"""What a training is given and what it gives: its data, its task, a trained fold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from leukoscope.config.params import Augment, Train
from leukoscope.config.rows import ModelSettings
from leukoscope.training.fitting import HeadFitter

if TYPE_CHECKING:
    import keras


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
class Task:
    """All that determines a row's training under a protocol's `split`, and the store of work not to be done twice."""

    row: ModelSettings
    settings: Train
    augment: Augment
    data: TrainingData
    split: pd.DataFrame
    store: Path
    with_val: bool = True

    def seed(self, fold: int) -> int:
        """The fold's number is part of its seed, so folds may be trained in any order or alone."""
        return self.settings.seed + 1000 * fold

    @cached_property
    def heads(self) -> HeadFitter:
        """What fits the heads of all folds."""
        return HeadFitter(self.row, self.settings)
