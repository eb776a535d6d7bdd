"""The range of a candidate's training cells, and how often it flags subjects that it was not taken from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leukoscope.artifacts.training_cells import fingerprint
from leukoscope.registry.ranking import Candidate
from leukoscope.registry.training_range import training_cells
from tests.fixtures.trained_rows import EVALUATE, images, metrics_of, splits, write_row


@pytest.fixture
def candidate(tmp_path: Path) -> Candidate:
    """A row over three folds."""
    decision = write_row(tmp_path, "a_row", skill=2)
    return Candidate(decision, metrics_of(tmp_path, decision), Path(), Path())


def test_the_range_is_that_of_the_training_cells_without_their_extremes(candidate: Candidate) -> None:
    table = images()
    odd = table.assign(cell_area=table["cell_area"].where(table.index != 0, 1e6))
    training = training_cells(candidate, odd, splits(("subject",)), EVALUATE)
    low, high = training.range["area"]
    assert odd["cell_area"].min() < low < high < 1e6
    assert set(training.range) == {"area", "red", "green", "blue"}


def test_the_flags_rate_is_measured_on_subjects_that_the_fold_s_range_has_not_seen(candidate: Candidate) -> None:
    table, split = images(), splits(("subject",))
    of = dict(zip(table["image_id"], table["cell_area"], strict=True))
    expected = []
    for _, fold in split.groupby("fold"):
        side = {
            name: np.array([of[one] for one in fold.loc[fold["side"] == name, "image_id"]])
            for name in ("train", "test")
        }
        low, high = np.quantile(side["train"], [0.001, 0.999])
        expected.append((side["test"] < low) | (side["test"] > high))
    unseen = training_cells(candidate, table, split, EVALUATE).unseen
    assert unseen["rate_size"] == pytest.approx(np.concatenate(expected).mean())
    assert unseen["rate"] >= max(unseen["rate_size"], unseen["rate_colour"]) > 0
    assert 0 <= unseen["rate_low"] <= unseen["rate"] <= unseen["rate_high"] <= 1
    assert (unseen["side"], unseen["n"], unseen["n_subjects"]) == ("test", len(table), table["subject"].nunique())


def test_a_subject_unlike_the_others_is_flagged_as_it_is_met_for_the_first_time(candidate: Candidate) -> None:
    table = images()
    other = table.assign(cell_area=table["cell_area"].where(table["subject"] != "3", 9000.0))
    before, after = (
        training_cells(candidate, one, splits(("subject",)), EVALUATE).unseen["rate_size"] for one in (table, other)
    )
    assert after >= before + 1 / table["subject"].nunique() - 0.03


def test_too_few_groups_give_a_reason_in_place_of_an_interval(candidate: Candidate) -> None:
    table = images()
    few = table.assign(group=np.where(table["label"] == 1, "A", "H"))
    unseen = training_cells(candidate, few, splits(("subject",)), EVALUATE).unseen
    assert (unseen["rate_low"], unseen["rate_high"]) == (None, None)
    assert "too few to resample" in unseen["interval_reason"]


def test_prevalence_is_that_of_the_validation_sides_and_pictures_are_those_of_training(candidate: Candidate) -> None:
    table, split = images(), splits(("subject",))
    training = training_cells(candidate, table, split, EVALUATE)
    val = split[split["side"] == "val"].merge(table, on="image_id")
    assert training.prevalence == pytest.approx(val["label"].mean())
    first = table.iloc[0]
    assert fingerprint(first["cell_area"], tuple(first["colour"])) in training.pictures
    known = dict(candidate.decision.training_images)
    assert known.pop(first["sha256"])
    decision = candidate.decision.model_copy(update={"training_images": known})
    left = training_cells(replace(candidate, decision=decision), table, split, EVALUATE)
    assert fingerprint(first["cell_area"], tuple(first["colour"])) not in left.pictures


def test_images_without_a_label_count_for_nothing(candidate: Candidate) -> None:
    extra = images().assign(
        label=pd.array([pd.NA] * len(images()), "Int8"), image_id=lambda rows: "x" + rows["image_id"]
    )
    extra["sha256"] = "f" + extra["sha256"].str[1:]
    both = pd.concat([images().astype({"label": "Int8"}), extra], ignore_index=True)
    split = splits(("subject",))
    alone, together = (training_cells(candidate, one, split, EVALUATE) for one in (images(), both))
    assert together.unseen == alone.unseen
    assert together.range == alone.range
