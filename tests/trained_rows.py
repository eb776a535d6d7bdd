"""Rows as training and evaluation leave them, small enough to write in a moment: folds' models, decisions and results.

The folds are real Keras models and the metrics are measured; only the predictions are drawn instead of trained.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from leukoscope.atomic import write_json
from leukoscope.config import Evaluate, ModelSettings, Params, Protocol, Threshold
from leukoscope.ensembles import Member, decide_ensemble, fingerprint, mean_predictions, read_members
from leukoscope.evaluation.decision import decide
from leukoscope.evaluation.results import summarise, write_tables

FOLDS = 3
SUBJECTS = 12
CELLS = 12
EVALUATE = Evaluate(bootstrap=100)
ROW = ModelSettings(backbone="mobilenetv2", weights="none", frame=64, size=32, mode="finetune")


def images(subjects: int = SUBJECTS) -> pd.DataFrame:
    """Labelled images whose cell area tells the classes apart a little (AUROC some 0.6)."""
    generator = np.random.default_rng(1)
    subject = np.repeat(np.arange(subjects), CELLS)
    label = (subject % 2 == 0).astype(int)
    names = [f"image-{number:03}" for number in range(len(subject))]
    return pd.DataFrame(
        {
            "image_id": names,
            "file": [f"{name}.png" for name in names],
            "label": label,
            "subject": subject.astype(str),
            "group": subject.astype(str),
            "sha256": [hashlib.sha256(name.encode()).hexdigest() for name in names],
            "cell_area": 2000 + 60 * label + generator.normal(0, 150, len(subject)),
            "colour": list(generator.normal([80, 35, 90], 4, (len(subject), 3)).astype(np.float32)),
        }
    )


def splits(protocols: tuple[str, ...] = ("subject", "image"), subjects: int = SUBJECTS) -> pd.DataFrame:
    """Fold f tests and the next one validates, by subject whatever the protocol is called."""
    cells = images(subjects)
    home = cells["subject"].astype(int) // 2 % FOLDS
    folds = []
    for protocol in protocols:
        for fold in range(FOLDS):
            side = np.select([home == fold, home == (fold + 1) % FOLDS], ["test", "val"], "train")
            folds.append(
                pd.DataFrame({"image_id": cells["image_id"], "protocol": protocol, "fold": fold, "side": side})
            )
    return pd.concat(folds, ignore_index=True)


def predictions(skill: float, protocol: Protocol, seed: int, subjects: int = SUBJECTS) -> pd.DataFrame:
    """What models of this skill say: 0 is chance, 3 is nearly perfect."""
    table = splits((protocol,), subjects).merge(images(subjects), on="image_id")
    logit = skill * (table["label"] - 0.5) + np.random.default_rng(seed).normal(0, 1, len(table))
    return table.assign(p_all=1 / (1 + np.exp(-logit))).drop(
        columns=["protocol", "cell_area", "file", "sha256", "colour"]
    )


@cache
def fold_bytes(fold: int) -> bytes:
    """A tiny framed model, as the bytes of its .keras file."""
    import tempfile

    import keras

    keras.utils.set_random_seed(fold)
    framed = keras.Input((ROW.size, ROW.size, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 127.5, offset=-1)(framed))
    model = keras.Model(framed, keras.layers.Dense(2, activation="sigmoid")(pooled), name=f"fold_{fold}")
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "fold.keras")
        return (Path(folder) / "fold.keras").read_bytes()


def tuned_by_study(tested_groups: int | None) -> dict[str, Any]:
    """`tuned` of decision.json, of a study that saw so many groups of the test side; None of one on other data."""
    about = {"study": "a-study", "data": "d" * 64, "split": "5" * 64, "protocol": "subject", "fold": 0}
    tested_images = None if tested_groups is None else CELLS * tested_groups
    return {**about, "tested_groups": tested_groups, "tested_images": tested_images}


def write_row(
    root: Path,
    name: str,
    *,
    skill: float,
    protocol: Protocol = "subject",
    seed: int = 0,
    data: str = "cells",
    data_hash: str = "d" * 64,
    split_hash: str = "5" * 64,
    at_least: float = 0.9,
    tuned: dict[str, Any] | None = None,
    subjects: int = SUBJECTS,
) -> dict[str, Any]:
    """Write models/<name>-<protocol> and results/<name>-<protocol> below `root`; return the decision."""
    models, results = (root / kind / f"{name}-{protocol}" for kind in ("models", "results"))
    (results / "figures").mkdir(parents=True, exist_ok=True)
    models.mkdir(parents=True, exist_ok=True)
    for fold in range(FOLDS):
        (models / f"fold_{fold}.keras").write_bytes(fold_bytes(fold))
    said = predictions(skill, protocol, seed, subjects)
    decided = decide(said, Threshold(at_least=at_least), EVALUATE)
    decision = {
        "row": name,
        "protocol": protocol,
        "settings": ROW.model_dump(mode="json"),
        "mode": ROW.mode,
        "weights_identity": "none:mobilenetv2",
        "weights_kind": "untrained",
        "parameters": {"total": 8, "trainable": 6},
        "layers": [],
        "data": {"name": data, "kind": "synthetic", "hash": data_hash},
        "split_hash": split_hash,
        **({"tuned": tuned} if tuned else {}),
        "identity": hashlib.sha256(f"{name} {protocol} {skill} {seed} {data_hash}".encode()).hexdigest(),
        **decided,
        "training_images": dict.fromkeys(images(subjects)["sha256"], "0 1"),
        "training_subjects": sorted(images(subjects)["subject"].unique()),
    }
    write_json(models / "decision.json", decision)
    write_json(results / "metrics.json", summarise(said, decided["folds"], images(subjects), EVALUATE))
    said.to_parquet(results / "predictions.parquet", index=False)
    write_tables(said, results)
    (results / "figures" / "roc.png").write_bytes(b"a figure")
    return decision


def members(root: Path, *rows: str, protocol: Protocol = "subject") -> list[Member]:
    """Rows that `write_row` wrote, as an ensemble reads them."""
    models, results = root / "models", root / "results"
    listed = {row: fingerprint(models / f"{row}-{protocol}", results / f"{row}-{protocol}") for row in rows}
    return read_members(listed, protocol, models, results)


def write_ensemble(root: Path, name: str, *rows: str, protocol: Protocol = "subject") -> dict[str, Any]:
    """Write the ensemble of rows that `write_row` wrote below `root`; return its decision."""
    joined = members(root, *rows, protocol=protocol)
    said = mean_predictions(name, joined)
    decision = decide_ensemble(name, joined, said, Threshold(), EVALUATE)
    write_json(root / "models" / f"{name}-{protocol}" / "decision.json", decision)
    metrics = summarise(said, decision["folds"], images(), EVALUATE)
    write_json(root / "results" / f"{name}-{protocol}" / "metrics.json", metrics)
    return decision


def metrics_of(root: Path, decision: dict[str, Any]) -> dict[str, Any]:
    """metrics.json of the row that `write_row` returned."""
    content: dict[str, Any] = json.loads(
        (root / "results" / f"{decision['row']}-{decision['protocol']}" / "metrics.json").read_text()
    )
    return content


def params(*rows: str, **sections: Any) -> Params:
    """Parameters that name these rows and the data set that `write_row` writes by default."""
    models = {row: {"backbone": "mobilenetv2"} for row in rows}
    return Params(**{"fetch": {"name": "cells"}, "evaluate": EVALUATE, "models": models, **sections})


def write_params(root: Path, *rows: str, **sections: Any) -> None:
    """Write params.yaml of `params` below `root`."""
    content = params(*rows, **sections).model_dump(mode="json", by_alias=True)
    (root / "params.yaml").write_text(yaml.safe_dump(content))
