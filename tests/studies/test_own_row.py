"""The study of a row of our own: what is dealt, what a choice reads, what is chosen inside, and the tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from leukoscope.config.params import Evaluate, Params
from leukoscope.config.rows import ModelSettings
from leukoscope.features.pooling import parts_of_columns
from leukoscope.training.inputs import RowInputs
from leukoscope.training.task import TrainingData
from studies.own_row import FOLDS, Answers, Bench, Choice, Inside, as_markdown, studied_inside, table
from tests.conftest import twenty_subjects

FEATURES = {
    "backbone": "mobilenet",
    "taps": ["early"],
    "beside": {"backbone": "mobilenet", "taps": ["early"], "shrink": 2},
    "pooling": "max",
    "colours": "raw",
    "statistics": ["area", "shape"],
    "maps": [4, 4],
}
PARTS = parts_of_columns(FEATURES, FEATURES["maps"])
AREA, SHAPE = (list(range(part.columns.start, part.columns.stop)) for part in PARTS[2:])
ROWS = {"row": {"backbone": "mobilenet"}}
WHOLE = Choice(("mobilenet", "mobilenet at 1/2 scale"), ("raw",), ("early",), ("area",))


@pytest.fixture
def bench() -> Bench:
    """Twenty subjects, whose classes the first scale tells apart and the second does not."""
    images = twenty_subjects()
    label = images["label"].to_numpy(int)
    vectors = np.random.default_rng(2).normal(size=(len(images), 1, SHAPE[-1] + 1)).astype(np.float32)
    vectors[:, 0, :4] += 1.5 * label[:, None]
    columns = (images[name].to_numpy() for name in ("image_id", "sha256"))
    data = TrainingData(*columns, label, images["group"].to_numpy(), vectors, None)
    row = ModelSettings(backbone="mobilenet", head="kernel", statistics=["area", "shape"])
    split = pd.DataFrame({"image_id": images["image_id"], "side": "test"})
    return Bench(RowInputs("row", "subject", row, images, split, data, FEATURES, {}, None), Params(models=ROWS))


def test_every_image_is_tested_once_a_deal_and_no_group_is_on_two_sides(bench: Bench) -> None:
    group_of = bench.used.set_index("image_id")["group"]
    for deal in range(2):
        folds = [bench.sides(deal * FOLDS + fold) for fold in range(FOLDS)]
        tested = pd.concat(sides[sides["side"] == "test"] for sides in folds)
        assert sorted(tested["image_id"]) == sorted(bench.used["image_id"])
        for sides in folds:
            assert (sides.groupby(group_of.loc[sides["image_id"]].to_numpy())["side"].nunique() == 1).all()
    assert not bench.sides(0).equals(bench.sides(FOLDS).assign(fold=0))


def test_the_leaky_deal_puts_groups_on_every_side(bench: Bench) -> None:
    sides = bench.sides(0, leaky=True)
    groups = bench.used["group"].to_numpy()
    assert (sides.groupby(groups)["side"].nunique() > 1).mean() > 0.9


def test_a_choice_reads_its_parts_and_its_statistics_last(bench: Bench) -> None:
    assert bench.whole(("area",)) == WHOLE
    assert list(WHOLE.columns(PARTS)) == [*range(8), *AREA]
    of_half = replace(WHOLE, backbones=("mobilenet at 1/2 scale",), statistics=("shape", "area"))
    assert list(of_half.columns(PARTS)) == [4, 5, 6, 7, *SHAPE, *AREA]
    assert replace(WHOLE, settings=(("svm_c", 3.0),)).row(bench.inputs.row).svm_c == 3.0


def test_what_is_chosen_inside_never_sees_the_test_side(bench: Bench) -> None:
    sides = bench.sides(0)
    tested = bench.inputs.data.positions(sides, "test")
    before, gain = studied_inside(bench, sides, seed=0)
    assert not set(tested) & set(Inside(bench, sides).at)
    vectors = bench.inputs.data.vectors()
    vectors[tested] = 1e6
    assert studied_inside(bench, sides, seed=0) == (before, gain)


def test_a_study_inside_finds_the_scale_that_tells(bench: Bench) -> None:
    inside = Inside(bench, bench.sides(0))
    settings = (("svm_c", 10.0), ("svm_gamma", 1.0))
    good, poor = (
        np.mean(inside.scores(replace(WHOLE, backbones=(scale,), settings=settings))) for scale in WHOLE.backbones
    )
    assert good > 0.95
    assert poor < 0.75


def test_the_table_s_gaps_are_paired_over_the_same_resamples(bench: Bench) -> None:
    label = bench.used["label"].to_numpy(int)
    noise = np.random.default_rng(1).normal(size=(3, len(label)))
    found = {"poor": Answers(label, noise + label), "good": Answers(label, noise + 3 * label)}
    lines = table(bench, found, "poor", Evaluate(bootstrap=100)).set_index("variant")
    assert lines.loc["poor", ["gap", "gap_low", "gap_high"]].tolist() == [0, 0, 0]
    assert 0 < lines.loc["good", "gap_low"] < lines.loc["good", "gap"] < lines.loc["good", "gap_high"]
    assert lines.loc["good", "auroc"] == pytest.approx(found["good"].aurocs().mean())
    text = as_markdown(lines.reset_index(), "poor")
    assert text.splitlines()[2].endswith("|  |")  # nothing is less than itself
    assert "+0." in text.splitlines()[3]
