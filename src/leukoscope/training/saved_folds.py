"""What training leaves for evaluation and the registry: a model for each fold, its history, and the decisions.

A fold's model is there twice: as fold_<f>.keras, which the registry packages, and as OpenVINO's fold_<f>.xml, which
validation and evaluation run, so that evaluating takes no TensorFlow. Where val's images trained it, val_<f>.xml is the
model before that, which alone is asked about the val side.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from leukoscope.artifacts.decision import Decision, parameters_of
from leukoscope.artifacts.layers import LayerFacts
from leukoscope.core.checkout import HISTORY_FILE
from leukoscope.core.errors import DataError
from leukoscope.features.engine import compiled, export
from leukoscope.features.keras_loading import load_saved
from leukoscope.stats.points import Decided
from leukoscope.training.fitting import HISTORY_COLUMNS
from leukoscope.training.inputs import RowInputs
from leukoscope.training.probabilities import predict
from leukoscope.training.task import TrainedFold, TrainingData

if TYPE_CHECKING:
    import keras


def save_fold(trained: TrainedFold, folder: Path) -> str:
    """Write fold_<f>.keras, fold_<f>.xml and, where there is one, val_<f>.xml.

    Returns the hash of the weights of the first: the files' own bytes carry dates.
    """
    trained.model.save(folder / f"fold_{trained.fold}.keras")
    export(trained.model, folder / f"fold_{trained.fold}.xml")
    if trained.before_val:
        export(trained.before_val, folder / f"val_{trained.fold}.xml")
    digest = hashlib.sha256()
    for values in trained.model.get_weights():
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def write_history(history: list[dict[str, float]], folder: Path) -> None:
    """Write history.csv: one row for each fold and epoch."""
    pd.DataFrame(history, columns=list(HISTORY_COLUMNS)).to_csv(folder / HISTORY_FILE, index=False)


def fold_numbers(folder: Path) -> list[int]:
    """The folds that `folder` holds a model of, ascending. Raises DataError where there are none."""
    numbers = sorted(int(path.stem.removeprefix("fold_")) for path in folder.glob("fold_*.keras"))
    if not numbers:
        raise DataError(f"{folder} holds no trained folds: run dvc repro")
    return numbers


def load_folds(folder: Path) -> dict[int, keras.Model]:
    """The folds' Keras models by number, loaded in safe mode. Raises DataError where there are none, or unsafe ones."""
    return {number: load_saved(folder / f"fold_{number}.keras") for number in fold_numbers(folder)}


def fold_sigmoids(folder: Path, number: int, *, knows_val: bool = True) -> Callable[[np.ndarray], np.ndarray]:
    """One fold's model on OpenVINO: from features or framed pixels [n, ...] float32 to two sigmoids [n, 2].

    With `knows_val` false it is the one that val's images had no part in.
    """
    before_val = folder / f"val_{number}.xml"
    model = compiled(before_val if not knows_val and before_val.exists() else folder / f"fold_{number}.xml")
    return lambda inputs: model(np.ascontiguousarray(inputs))[0]


def decision_of(inputs: RowInputs, decided: Decided, weights: dict[int, str], layers: list[LayerFacts]) -> Decision:
    """What the trained model is, what its validation sides decided, and what it was trained on.

    `layers` are those of one fold's model, as `architecture.whole_row` tells them. The model's identity is the hash of
    its folds' weights (as `save_fold` gives them), its backbone's, its settings and its data.
    """
    about = inputs.about
    settings = about.settings.model_dump(mode="json")
    content = [sorted(weights.items()), settings, about.weights_identity, about.data.hash]
    trained_sides = ("train", "val") if inputs.row.trains_on_val else ("train",)
    return Decision(
        **dict(about),
        parameters=parameters_of(layers),
        layers=layers,
        identity=hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest(),
        folds=decided.folds,
        pooled=decided.pooled,
        training_images=training_images(inputs.data, inputs.split, trained_sides),
        training_subjects=training_subjects(inputs.images, inputs.split, trained_sides),
    )


def training_images(data: TrainingData, split: pd.DataFrame, named: Sequence[str]) -> dict[str, str]:
    """The folds whose model each image trained, as words like "0 3 4", by its sha256; `named` are their sides."""
    folds: dict[str, str] = {}
    for _, sides in split.groupby("fold"):
        for position in np.concatenate([data.positions(sides, side) for side in named]):
            sha256 = str(data.sha256[position])
            folds[sha256] = f"{folds.get(sha256, '')} {sides['fold'].iloc[0]}".strip()
    return folds


def training_subjects(images: pd.DataFrame, split: pd.DataFrame, named: Sequence[str]) -> list[str]:
    """The subjects with an image that trained any fold's model, on one of the sides `named`."""
    trained = images["image_id"].isin(split.loc[split["side"].isin(named), "image_id"])
    return sorted(images.loc[trained, "subject"].unique())


def fold_predictions(folder: Path, inputs: RowInputs, sides: pd.DataFrame) -> pd.DataFrame:
    """What the saved model of a fold says of the images in `sides` (that fold's rows of a split), sorted by image_id.

    Columns image_id, subject, group, label, p_all, fold, side. Unused images are left out.
    """
    sides = sides[sides["side"] != "unused"].sort_values("image_id", ignore_index=True)
    position = pd.Series(np.arange(len(inputs.images)), index=inputs.images["image_id"])
    number, p_all = int(sides["fold"].iloc[0]), np.empty(len(sides))
    for of_val in (True, False):
        at = np.flatnonzero((sides["side"] == "val") == of_val)
        if at.size:
            sigmoids = fold_sigmoids(folder, number, knows_val=not of_val)
            p_all[at] = predict(sigmoids, inputs.row, inputs.data, position[sides["image_id"].iloc[at]].to_numpy())
    known = inputs.images.set_index("image_id")[["subject", "group", "label"]]
    table = sides[["image_id"]].join(known, on="image_id")
    return table.assign(label=table["label"].astype("int8"), p_all=p_all, fold=sides["fold"], side=sides["side"])
