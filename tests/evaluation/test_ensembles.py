"""Ensembles: means of rows' probabilities over the same images and folds, decided on val."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from leukoscope.artifacts.decision import Decision, EnsembleSettings, Parameters
from leukoscope.config.params import Threshold
from leukoscope.core.cautions import TESTED, UNKNOWN
from leukoscope.core.errors import ConfigError, DataError, RegistryError
from leukoscope.evaluation.ensembles import Member, decide_ensemble, mean_predictions, read_members
from leukoscope.stats.operating_point import decide
from tests.fixtures.trained_rows import EVALUATE, members, tuned_by_study, write_row

KEYS = ["image_id", "fold", "side"]


def joined(*of: Member) -> Decision:
    return decide_ensemble("both", of, mean_predictions("both", of), Threshold(), EVALUATE)


def changed(member: Member, **values: object) -> Member:
    """The member with other values in its decision."""
    return dataclasses.replace(member, decision=member.decision.model_copy(update=values))


def test_an_ensemble_says_the_mean_of_its_members_to_the_last_digit(tmp_path: Path) -> None:
    for seed, row in enumerate(("one", "two", "three")):
        write_row(tmp_path, row, skill=2, seed=seed)
    said = mean_predictions("all", members(tmp_path, "one", "two", "three")).set_index(KEYS)["p_all"]
    of_rows = [
        pd.read_parquet(tmp_path / f"results/{row}-subject/predictions.parquet").set_index(KEYS)["p_all"]
        for row in ("one", "three", "two")
    ]
    expected = (of_rows[0] + of_rows[1] + of_rows[2]) / 3
    assert len(said) == len(of_rows[0])
    pd.testing.assert_series_equal(said, expected.loc[said.index], check_exact=True)


def test_the_order_of_members_changes_nothing(tmp_path: Path) -> None:
    for seed, row in enumerate(("one", "two", "three")):
        write_row(tmp_path, row, skill=2, seed=seed)
    first = joined(*members(tmp_path, "one", "two", "three"))
    assert joined(*members(tmp_path, "three", "one", "two")) == first


def test_everything_is_decided_on_val(tmp_path: Path) -> None:
    decisions = {row: write_row(tmp_path, row, skill=2, seed=seed) for seed, row in enumerate(("one", "two"))}
    both = members(tmp_path, "one", "two")
    decision = joined(*both)
    said = mean_predictions("both", both)
    val = said[said["side"] == "val"]
    assert (decision.folds, decision.pooled) == decide(val, Threshold(), EVALUATE)
    assert decision.val_auroc == pytest.approx(roc_auc_score(val["label"], val["p_all"]))
    for row in ("one", "two"):
        measured = json.loads((tmp_path / f"results/{row}-subject/metrics.json").read_text())["val"]["auroc"]
        assert decision.members[row].val_auroc == pytest.approx(measured)
        assert decision.members[row].identity == decisions[row].identity
    silent = [
        dataclasses.replace(
            member, predictions=member.predictions.assign(p_all=said["p_all"].where(said["side"] == "val", 0.5))
        )
        for member in both
    ]
    same = [dataclasses.replace(member, predictions=member.predictions.assign(p_all=said["p_all"])) for member in both]
    assert joined(*silent) == joined(*same)


@pytest.mark.parametrize(
    ("difference", "what"),
    [({"data_hash": "e" * 64}, "data"), ({"split_hash": "6" * 64}, "splits"), ({"protocol": "image"}, "protocols")],
)
def test_members_share_data_protocol_and_splits(tmp_path: Path, difference: dict, what: str) -> None:
    write_row(tmp_path, "one", skill=2)
    other = write_row(tmp_path, "two", skill=2, **difference)
    pair = [*members(tmp_path, "one"), *members(tmp_path, "two", protocol=other.protocol)]
    with pytest.raises(RegistryError, match=f"two and one are over different {what}, .* joined in both"):
        mean_predictions("both", pair)


def test_members_were_evaluated_on_the_same_images(tmp_path: Path) -> None:
    for row in ("one", "two"):
        write_row(tmp_path, row, skill=2)
    one, two = members(tmp_path, "one", "two")
    with pytest.raises(DataError, match="two and one were not evaluated on the same images"):
        mean_predictions("both", [one, dataclasses.replace(two, predictions=two.predictions[1:])])


def test_a_member_that_was_evaluated_again_is_refused(tmp_path: Path) -> None:
    write_row(tmp_path, "one", skill=2)
    write_row(tmp_path, "two", skill=2)
    listed = {row: {"decision.json": "as it was", "predictions.parquet": "as it was"} for row in ("one", "two")}
    with pytest.raises(DataError, match=r"one-subject has changed since it was listed .* dvc repro"):
        read_members(listed, "subject", tmp_path)


@pytest.mark.parametrize("name", ["../two", "/two", "C:two"])
def test_a_member_whose_name_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="leads outside"):
        read_members({name: {}}, "subject", tmp_path)


def test_another_member_is_another_model(tmp_path: Path) -> None:
    for seed, row in enumerate(("one", "two", "three")):
        write_row(tmp_path, row, skill=2, seed=seed)
    identities = {
        joined(*members(tmp_path, *rows)).identity for rows in (("one", "two"), ("one", "three"), ("two", "three"))
    }
    assert len(identities) == 3
    again = write_row(tmp_path, "two", skill=2, seed=9)
    assert joined(*members(tmp_path, "one", "two")).identity not in identities
    assert joined(*members(tmp_path, "one", "two")).members["two"].identity == again.identity


def test_an_ensemble_names_all_that_its_members_are(tmp_path: Path) -> None:
    write_row(tmp_path, "one", skill=2)
    write_row(tmp_path, "two", skill=2)
    one, two = members(tmp_path, "one", "two")
    settings = two.decision.row_settings.model_copy(update={"frame": 300})
    decision = joined(one, changed(two, settings=settings, mode="frozen", weights_kind="imagenet"))
    assert decision.mode == "finetune, frozen"
    assert decision.weights_kind == "imagenet, untrained"
    of_two = changed(two, settings=settings, weights_kind="file, imagenet")
    assert joined(one, of_two).weights_kind == "file, imagenet, untrained"
    assert decision.settings == EnsembleSettings(members=["one", "two"], frame=300, rotations=1)
    assert decision.parameters == Parameters(total=16, trainable=12)


@pytest.mark.parametrize(
    ("tested", "words"), [((5, 0), TESTED), ((None, 0), UNKNOWN), ((5, None), TESTED), ((0, 0), "")]
)
def test_an_ensemble_carries_the_mark_of_any_member(tmp_path: Path, tested: tuple, words: str) -> None:
    for row, groups in zip(("one", "two"), tested, strict=True):
        write_row(tmp_path, row, skill=2, tuned=tuned_by_study(groups))
    write_row(tmp_path, "three", skill=2)
    decision = joined(*members(tmp_path, "one", "two", "three"))
    assert decision.mark == words
    assert decision.members["one"].tuned == tuned_by_study(tested[0])
    assert set(decision.as_json()["members"]["three"]) == {"identity", "val_auroc"}


def test_frames_without_a_common_centre_are_refused(tmp_path: Path) -> None:
    write_row(tmp_path, "one", skill=2)
    write_row(tmp_path, "two", skill=2)
    one, two = members(tmp_path, "one", "two")
    odd = changed(two, settings=two.decision.row_settings.model_copy(update={"frame": 301}))
    with pytest.raises(ConfigError, match=r"ensembles\.both: .* \(64, 301\) are odd and even"):
        joined(one, odd)


def test_the_mean_of_independent_rows_is_better_than_either(tmp_path: Path) -> None:
    for seed, row in enumerate(("one", "two")):
        write_row(tmp_path, row, skill=2, seed=seed)
    decision = joined(*members(tmp_path, "one", "two"))
    assert decision.val_auroc > max(member.val_auroc for member in decision.members.values())
    assert np.isfinite(decision.pooled.threshold)
