"""What a trial is worth: the row trained with its values on every inner fold, as `train` would, and scored by AUROC."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from leukoscope.config.params import Augment, Params
from leukoscope.config.rows import ModelSettings
from leukoscope.core import checkout
from leukoscope.core.files import locked
from leukoscope.data.pack import open_pack
from leukoscope.data.splits import read_split
from leukoscope.features.backbones import weights_of_row
from leukoscope.features.embedding import pooled_features
from leukoscope.imaging.draws import draw
from leukoscope.imaging.turns import View, turns_of
from leukoscope.stats.metrics import METRICS
from leukoscope.training.inputs import DATA_COLUMNS, table_hash
from leukoscope.training.probabilities import predict
from leukoscope.training.task import TrainingData
from leukoscope.training.training import Training
from leukoscope.tuning.inner_folds import inner_folds, rows_of_fold
from leukoscope.tuning.space import Values, with_values

if TYPE_CHECKING:
    from leukoscope.training.task import TrainedFold


FEATURES_AT_ONCE = 4  # kinds of features in memory, where a study tries poolings, views or zooms
OnEpoch = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Bench:
    """A row and what it is trained and scored on: images, and folds of them (image_id, fold, side).

    `images` and their `positions` in the packed arrays are in the order of images.parquet, which is that of image_id.
    """

    params: Params
    name: str
    fold: int
    images: pd.DataFrame
    positions: np.ndarray
    folds: pd.DataFrame
    data_hash: str
    split_hash: str
    below: Path

    @classmethod
    def of(cls, params: Params, name: str, fold: int, below: Path = checkout.HERE) -> Bench:
        """The bench of row `name` inside `fold` of `tune.protocol`, in the checkout `below`."""
        return cls._over(params, name, fold, below, ("train", "val"))

    @classmethod
    def outside(cls, params: Params, name: str, fold: int, below: Path = checkout.HERE) -> Bench:
        """What becomes of a study inside `fold`: the fold itself, with the test side that no trial has seen."""
        return cls._over(params, name, fold, below, ("train", "val", "test"))

    @classmethod
    def _over(cls, params: Params, name: str, fold: int, below: Path, sides: tuple[str, ...]) -> Bench:
        everything = pd.read_parquet(below / checkout.IMAGES, columns=DATA_COLUMNS)
        split = read_split(below / checkout.SPLITS, everything, params.tune.protocol)
        rows = rows_of_fold(split, fold, sides)
        used = everything["image_id"].isin(rows["image_id"])
        images = everything[used].reset_index(drop=True)
        return cls(
            params=params,
            name=name,
            fold=fold,
            images=images,
            positions=np.flatnonzero(used),
            folds=rows if "test" in sides else inner_folds(images, params.tune),
            data_hash=table_hash(everything),
            split_hash=table_hash(split),
            below=below,
        )

    @cached_property
    def row(self) -> ModelSettings:
        """The row as params.yaml has it."""
        return self.params.row(self.name)

    @cached_property
    def identity(self) -> dict[str, str]:
        """What trials of one study share besides their space, as hashes and settings by name."""
        weights = weights_of_row(self.row)
        return {"data": table_hash(self.images), "weights": weights, "split": table_hash(self.folds)}

    @property
    def scores(self) -> int:
        """How many scores a trial has: one for each inner fold."""
        return int(self.folds["fold"].nunique())

    @property
    def epochs_of_a_fold(self) -> int:
        """The most epochs that an inner fold trains for, the head's own included."""
        settings = self.params.train
        return settings.epochs + (settings.head_epochs if self.row.mode == "finetune" else 0)

    def scored(self, values: Values, on_epoch: OnEpoch = lambda fold, epoch: None) -> Iterator[float]:
        """The AUROC of each inner fold, one after another, of the row with a trial's `values`.

        `on_epoch` is told of each epoch as it ends, with its fold: dicts of HISTORY_COLUMNS. What it raises ends the
        training. Images are scored in their plain view, and an image's views follow its fold.
        """
        for _, label, p_all in self.predicted(values, self.folds, "val", on_epoch):
            area = METRICS["auroc"](label, p_all)
            assert area is not None, "inner_folds gives every fold both classes"
            yield area

    def predicted(
        self, values: Values, folds: pd.DataFrame, side: str, on_epoch: OnEpoch = lambda fold, epoch: None
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Train the row with `values` on each of `folds` and say what it gives for one `side` of it.

        Yields positions in `images`, labels and p(ALL), each [images of the side].
        """
        row, augment = with_values(self.params, self.row, values)
        data = self._data(row, augment)
        with_val = side != "val"  # which is asked about
        training = Training(row, self.params.train, augment, data, folds, checkout.store(), with_val)

        def ended(epoch: Mapping[str, float]) -> None:
            on_epoch(int(epoch["fold"]), epoch)

        for trained in training.folds(ended, past=ended):
            at = data.positions(folds[folds["fold"] == trained.fold], side)
            yield at, data.labels[at], predict(_sigmoids(trained), row, data, at)
        training.forget()

    def prepare(self) -> None:
        """Compute the features of the row's own views. Other processes that ask meanwhile wait for them."""
        if self.row.mode == "frozen":
            with locked(checkout.store() / "tuning.lock"):
                self._features(self.row.pooling, self.row.views, self.params.augment)

    def _data(self, row: ModelSettings, augment: Augment) -> TrainingData:
        frozen = row.mode == "frozen"
        return TrainingData(
            image_ids=self.images["image_id"].to_numpy(),
            sha256=self._sha256,
            labels=self.images["label"].to_numpy(int),
            groups=self.images["group"].to_numpy(),
            features=self._features(row.pooling, row.views, augment) if frozen else None,
            packed=None if frozen else self._pictures,
        )

    @property
    def _sha256(self) -> np.ndarray:
        return self.images["sha256"].to_numpy()

    @cached_property
    def _pictures(self) -> np.ndarray:
        packed = open_pack(self.below / checkout.PACKED, self.row.frame, self.row.size)
        return cast(np.ndarray, ChosenPictures(packed, self.positions))

    @cached_property
    def _features(self) -> Callable[[str, int, Augment], np.ndarray]:
        """Frozen features [images, 1 + views + turns, channels] of a pooling, a number of views and an augmentation."""
        return lru_cache(FEATURES_AT_ONCE)(self._computed_features)

    def _computed_features(self, pooling: str, views: int, augment: Augment) -> np.ndarray:
        turns = turns_of(self.row.rotations)[1:]
        shown: list[list[View]] = [
            [*(draw(augment, sha256, 1 + view) for view in range(views)), *turns] for sha256 in self._sha256
        ]
        everyone = np.arange(len(self.images))
        row = {**self.row.model_dump(), "pooling": pooling}
        return pooled_features(row, self._sha256, self._pictures, everyone, shown, augment.keep_black, checkout.store())


@dataclass(frozen=True)
class ChosenPictures:
    """Packed pictures of some images alone, read where they are asked for: they may be larger than memory."""

    packed: np.ndarray
    positions: np.ndarray

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, chosen: Any) -> np.ndarray:
        pictures: np.ndarray = self.packed[self.positions[chosen]]
        return pictures


def _sigmoids(trained: TrainedFold) -> Callable[[np.ndarray], np.ndarray]:
    """A fold's model as a function of numpy arrays, called eagerly: to compile it for one use would cost more."""
    from keras import ops

    return lambda inputs: ops.convert_to_numpy(trained.model(inputs, training=False))
