"""What training and evaluation of one row under one protocol read, gathered in one place."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from leukoscope.artifacts.decision import About, DataSet, TunedOn
from leukoscope.config.params import Params
from leukoscope.config.rows import ModelSettings, Protocol, Tuned
from leukoscope.core import checkout
from leukoscope.core.files import read_json
from leukoscope.data.pack import open_pack
from leukoscope.data.splits import overlap, read_split
from leukoscope.features.embedding import read_features
from leukoscope.training.task import TrainingData

DATA_COLUMNS = ["image_id", "set", "label", "subject", "group", "sha256", "duplicate_of", "cell_area"]


@dataclass(frozen=True)
class RowInputs:
    """A row's settings, its protocol's split, and the arrays and hashes of its data.

    `tuned` says of tuned values which study they come from, and how much of the test side it saw.
    """

    name: str
    protocol: Protocol
    row: ModelSettings
    images: pd.DataFrame
    split: pd.DataFrame
    data: TrainingData
    features: dict[str, Any]
    source: dict[str, Any]
    tuned: TunedOn | None

    @property
    def about(self) -> About:
        """What identifies the experiment, as decision.json and the tracker record it."""
        return About(
            row=self.name,
            protocol=self.protocol,
            settings=self.row,
            mode=self.row.mode,
            weights_identity=self.features["weights_identity"],
            weights_kind=self.features["weights_kind"],
            data=DataSet(name=self.source["name"], kind=self.source["kind"], hash=table_hash(self.images)),
            split_hash=table_hash(self.split),
            tuned=self.tuned,
        )


def read_inputs(params: Params, name: str, protocol: Protocol, below: Path = checkout.HERE) -> RowInputs:
    """Read what `name` needs under `protocol` in the checkout `below`. Raises SplitError for a leaky split."""
    row = params.row(name)
    images = pd.read_parquet(below / checkout.IMAGES, columns=DATA_COLUMNS)
    split = read_split(below / checkout.SPLITS, images, protocol)
    features, about = read_features(checkout.features(name, below))
    data = TrainingData(
        image_ids=images["image_id"].to_numpy(),
        sha256=images["sha256"].to_numpy(),
        labels=images["label"].fillna(-1).to_numpy(int),
        groups=images["group"].to_numpy(),
        features=features,
        packed=open_pack(below / checkout.PACKED, row.frame, row.size) if row.mode == "finetune" else None,
    )
    return RowInputs(
        name=name,
        protocol=protocol,
        row=row,
        images=images,
        split=split,
        data=data,
        features=about,
        source=read_json(below / checkout.SOURCE, "dvc repro fetch"),
        tuned=_tuned(row.tuned, images, split, below / checkout.SPLITS) if row.tuned else None,
    )


def _tuned(tuned: Tuned, images: pd.DataFrame, split: pd.DataFrame, splits: Path) -> TunedOn:
    """`tuned` with what its study saw of the test side of `split`: None where data or its own split are others now."""
    study = pd.read_parquet(splits, filters=[("protocol", "==", tuned.protocol)])
    fold = study[study["fold"] == tuned.fold]
    same = (tuned.data, tuned.split) == (table_hash(images), table_hash(study)) and not fold.empty
    saw = overlap(fold, split, images) if same else {"tested_groups": None, "tested_images": None}
    return TunedOn(**tuned.model_dump(), **saw)


def table_hash(table: pd.DataFrame) -> str:
    """A hash of a table's values, whatever file they are in."""
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()
