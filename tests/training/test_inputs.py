"""What is known of tuned values where a row is trained: how much of its test side their study saw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from leukoscope.artifacts.decision import DECISION_FILE
from leukoscope.config.params import Params, Split
from leukoscope.config.rows import Protocol
from leukoscope.core import checkout
from leukoscope.core.cautions import TESTED, UNKNOWN
from leukoscope.core.files import write_json
from leukoscope.data.splits import make_splits, read_split
from leukoscope.features.embedding import ABOUT_FILE, FEATURES_FILE
from leukoscope.stats.points import Decided
from leukoscope.training.inputs import DATA_COLUMNS, RowInputs, read_inputs, table_hash
from leukoscope.training.saved_folds import decision_of
from tests.conftest import image_table, twenty_subjects
from tests.evaluation.conftest import decided

PROTOCOLS: tuple[Protocol, ...] = ("subject", "official", "image", "paper")
FOLD = 1


def write_data(root: Path, folds: int = 5) -> pd.DataFrame:
    """What read_inputs reads of a frozen row in the checkout `root`; returns its images."""
    prelim = image_table({"50": 1, "51": 1, "H50": 0, "H51": 0}, set_="prelim")
    images = pd.concat([twenty_subjects(), prelim], ignore_index=True)
    features = checkout.features("a_row", root)
    features.mkdir(parents=True, exist_ok=True)
    images.to_parquet(root / checkout.IMAGES, index=False)
    make_splits(images, Split(folds=folds), PROTOCOLS).to_parquet(root / checkout.SPLITS, index=False)
    np.save(features / FEATURES_FILE, np.zeros((len(images), 1, 4), np.float32))
    write_json(features / ABOUT_FILE, {"mode": "frozen", "weights_identity": "w", "weights_kind": "k"})
    write_json(root / checkout.SOURCE, {"name": "cells", "kind": "synthetic"})
    return images


def study_of(root: Path, images: pd.DataFrame, protocol: Protocol, fold: int = FOLD) -> dict[str, Any]:
    """`tuned` of a row's section, as a study of one fold of a protocol leaves it."""
    hashes = {
        "data": table_hash(images[DATA_COLUMNS]),
        "split": table_hash(read_split(root / checkout.SPLITS, images, protocol)),
    }
    return {"study": "a-study", "protocol": protocol, "fold": fold, **hashes}


def inputs(root: Path, protocol: Protocol, tuned: dict[str, Any] | None) -> RowInputs:
    row = {"backbone": "mobilenetv2", "dropout": 0.1, **({"tuned": tuned} if tuned else {})}
    return read_inputs(Params(models={"a_row": row}), "a_row", protocol, root)


def counted(inputs: RowInputs) -> tuple[int | None, int | None]:
    tuned = inputs.about.tuned
    assert tuned is not None
    return tuned.tested_groups, tuned.tested_images


@pytest.mark.parametrize("protocol", ["subject", "image"])
def test_the_groups_of_a_studys_fold_that_are_tested_are_counted(tmp_path: Path, protocol: Protocol) -> None:
    images = write_data(tmp_path)
    splits = pd.read_parquet(tmp_path / checkout.SPLITS).merge(images[["image_id", "group"]])
    of_study = splits[(splits["protocol"] == "subject") & (splits["fold"] == FOLD)]
    seen = set(of_study.loc[of_study["side"].isin(["train", "val"]), "group"])
    tested = splits[(splits["protocol"] == protocol) & (splits["side"] == "test")]
    told = inputs(tmp_path, protocol, study_of(tmp_path, images, "subject"))
    assert counted(told) == (len(seen), int(tested["group"].isin(seen).sum()))
    assert 0 < len(seen) < splits["group"].nunique()
    assert told.about.mark == TESTED


def test_the_preliminary_set_is_of_groups_that_no_study_of_the_training_set_saw(tmp_path: Path) -> None:
    images = write_data(tmp_path)
    told = inputs(tmp_path, "official", study_of(tmp_path, images, "subject"))
    assert counted(told) == (0, 0)
    assert told.about.mark == ""


def test_one_split_tests_on_groups_that_its_study_did_not_see(tmp_path: Path) -> None:
    images = write_data(tmp_path, folds=1)
    study = study_of(tmp_path, images, "subject", fold=0)
    assert counted(inputs(tmp_path, "subject", study)) == (0, 0)
    assert inputs(tmp_path, "image", study).about.mark == TESTED


@pytest.mark.parametrize("difference", [{"data": "e" * 64}, {"split": "6" * 64}, {"fold": 9}, {"protocol": "image"}])
def test_what_a_study_of_other_data_or_another_split_saw_is_unknown(tmp_path: Path, difference: dict) -> None:
    images = write_data(tmp_path)
    told = inputs(tmp_path, "official", {**study_of(tmp_path, images, "subject"), **difference})
    assert counted(told) == (None, None)
    assert told.about.mark == UNKNOWN


def test_a_split_that_was_made_again_with_other_folds_is_another_split(tmp_path: Path) -> None:
    study = study_of(tmp_path, write_data(tmp_path), "subject")
    write_data(tmp_path, folds=4)
    assert inputs(tmp_path, "subject", study).about.mark == UNKNOWN


def test_the_same_values_make_the_same_model_wherever_they_come_from(tmp_path: Path) -> None:
    images = write_data(tmp_path)
    decisions, folds = {}, decided(0.4, 0.6)
    for name, tuned in (("by hand", None), ("by a study", study_of(tmp_path, images, "subject"))):
        told = inputs(tmp_path, "subject", tuned)
        decision_of(told, Decided(folds, folds["0"]), {0: "weights"}, []).write(tmp_path / name)
        decisions[name] = json.loads((tmp_path / name / DECISION_FILE).read_text())
    by_study = dict(decisions["by a study"])
    assert by_study.pop("tuned")["study"] == "a-study"
    assert by_study == decisions["by hand"]
    assert "tuned" not in json.dumps(decisions["by hand"])
