"""What a part of the features is worth, from what a row says where it is another subject's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leukoscope.artifacts.predictions import labels_and_scores, side_of
from leukoscope.config.params import Evaluate
from leukoscope.evaluation.comparison import paired_auroc_gap
from leukoscope.evaluation.importance import (
    PARTS_COLUMNS,
    Exchanged,
    groups_table,
    images_table,
    parts_table,
    write_importance,
)


@pytest.fixture(scope="module")
def tested(predictions: pd.DataFrame) -> pd.DataFrame:
    return side_of(predictions, "test")


@pytest.fixture(scope="module")
def exchanged(tested: pd.DataFrame) -> list[Exchanged]:
    """A part that nothing reads, one that is half of the decision, and one that is all of it."""
    p = tested["p_all"].to_numpy()
    noise = np.random.default_rng(0).random((3, len(p)))
    return [
        Exchanged("tap", "unread", 10, np.stack([p, p, p]), p),
        Exchanged("tap", "half", 20, (p + noise) / 2, p),
        Exchanged("statistic", "all", 30, np.full((3, len(p)), 0.5), p),
    ]


def test_the_fall_is_what_the_pooled_auroc_loses(
    tested: pd.DataFrame, exchanged: list[Exchanged], settings: Evaluate
) -> None:
    table = parts_table(tested, exchanged, settings).set_index("part")
    y, p = labels_and_scores(tested)
    unread, half, whole = table.loc["unread"], table.loc["half"], table.loc["all"]
    assert [unread["fall"], unread["fall_low"], unread["fall_high"]] == pytest.approx([0, 0, 0], abs=1e-12)
    alone = paired_auroc_gap(y, p, np.full(len(p), 0.5), tested["group"], settings)
    assert [whole["fall"], whole["fall_low"], whole["fall_high"]] == pytest.approx(
        [alone["gap"], alone["gap_low"], alone["gap_high"]]
    )
    repeats = [paired_auroc_gap(y, p, repeat, tested["group"], settings) for repeat in exchanged[1].p_all]
    assert half["fall"] == pytest.approx(np.mean([gap["gap"] for gap in repeats]))
    assert half["auroc"] - half["auroc_exchanged"] == pytest.approx(half["fall"])
    assert half["fall_low"] < half["fall"] < half["fall_high"]
    assert table["columns"].tolist() == [10, 20, 30]


def test_a_groups_fall_is_towards_its_own_class(tested: pd.DataFrame, exchanged: list[Exchanged]) -> None:
    images = images_table(tested, exchanged)
    groups = groups_table(tested, images)
    assert groups["fall"].is_monotonic_decreasing
    np.testing.assert_allclose(groups.loc[groups["part"] == "unread", "fall"], 0, atol=1e-12)
    for name, sign in (("ALL", 1), ("hem", -1)):
        for row in groups[(groups["part"] == "all") & (groups["class"] == name)].itertuples():
            own = tested.loc[tested["group"] == row.group, "p_all"]
            assert (row.n, row.fall) == (len(own), pytest.approx(sign * (own.mean() - 0.5)))
    half = images[images["part"] == "half"].set_index("image_id")["p_exchanged"]
    np.testing.assert_allclose(half[tested["image_id"]], exchanged[1].p_all.mean(axis=0))


def test_too_few_groups_give_a_reason_in_place_of_an_interval(make_predictions, settings: Evaluate) -> None:
    tested = side_of(make_predictions(subjects_all=3, subjects_hem=2), "test")
    one = Exchanged("tap", "half", 1, tested["p_all"].to_numpy()[None] / 2, tested["p_all"].to_numpy())
    (row,) = parts_table(tested, [one], settings).to_dict("records")
    assert row["fall"] == pytest.approx(0)
    assert row["fall_low"] is None
    assert row["interval_reason"] == "2 groups of hem: too few to resample"


def test_where_nothing_was_exchanged_the_tables_are_there_without_rows(
    predictions: pd.DataFrame, settings: Evaluate, tmp_path: Path
) -> None:
    write_importance(predictions, [], settings, tmp_path)
    assert pd.read_csv(tmp_path / "parts.csv").columns.tolist() == PARTS_COLUMNS
    for table in (pd.read_csv(tmp_path / "groups.csv"), pd.read_parquet(tmp_path / "images.parquet")):
        assert table.empty
        assert {"dimension", "part"} < set(table.columns)
