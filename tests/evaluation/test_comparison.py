import numpy as np
import pytest
from sklearn import metrics as reference

from leukoscope.artifacts.predictions import labels_and_scores, side_of
from leukoscope.config.params import Evaluate, Split
from leukoscope.core.errors import DataError
from leukoscope.data.splits import make_splits
from leukoscope.evaluation.comparison import accuracy_gap, compare_rows, leakage_gap, paired_auroc_gap
from leukoscope.stats.bootstrap import resample
from leukoscope.stats.resampled import auroc_resamples


def of_side(predictions, side):
    return predictions[predictions["side"] == side]


def test_the_leakage_gap_is_over_the_images_that_both_protocols_test(predictions, settings):
    honest = predictions
    lift = np.where(predictions["label"] == 1, 0.9, 0.7) * predictions["p_all"]
    leaky = predictions.assign(p_all=lift)
    dropped = honest["image_id"].unique()[:5]
    gap = leakage_gap(leaky, honest[~honest["image_id"].isin(dropped)], settings)
    both = of_side(predictions, "test")
    both = both[~both["image_id"].isin(dropped)]
    expected = [reference.roc_auc_score(both["label"], p[both.index]) for p in (leaky["p_all"], honest["p_all"])]
    assert [gap["auroc_leaky"], gap["auroc_honest"]] == pytest.approx(expected)
    assert gap["gap"] == pytest.approx(expected[0] - expected[1])
    assert 0 < gap["gap_low"] < gap["gap"] < gap["gap_high"]
    assert gap["n"] == len(both)


def test_the_leakage_gap_of_a_protocol_with_itself_is_nothing(predictions, settings):
    gap = leakage_gap(predictions, predictions, settings)
    assert (gap["gap"], gap["gap_low"], gap["gap_high"]) == (0, 0, 0)


def test_single_splits_share_few_images_so_their_gap_says_that_it_has_no_interval(predictions, settings):
    images = predictions.drop_duplicates("image_id")[["image_id", "subject", "group", "label"]]
    images = images.assign(set="train", sha256=images["image_id"], duplicate_of=None)
    splits = make_splits(images, Split(folds=1), ("subject", "image"))
    said = images.assign(p_all=np.random.default_rng(0).random(len(images)))
    leaky, honest = (
        splits[splits["protocol"] == protocol].merge(said, on="image_id") for protocol in ("image", "subject")
    )
    gap = leakage_gap(leaky, honest, settings)
    assert gap["n"] < 0.5 * (honest["side"] == "test").sum()
    assert (gap["gap_low"], gap["gap_high"]) == (None, None)
    assert "too few to resample" in gap["interval_reason"]


def test_protocols_without_a_common_image_or_that_disagree_have_no_gap(predictions, settings):
    with pytest.raises(DataError, match="no image in common"):
        leakage_gap(predictions.assign(image_id="x" + predictions["image_id"]), predictions, settings)
    with pytest.raises(DataError, match="disagree on labels"):
        leakage_gap(predictions.assign(label=1 - predictions["label"]), predictions, settings)
    with pytest.raises(DataError, match="tested in two folds"):
        leakage_gap(predictions.assign(side="test"), predictions, settings)


def test_the_gap_of_identical_predictions_is_exactly_nothing(tested, settings):
    y, p, groups = tested
    gap = paired_auroc_gap(y, p, p.copy(), groups, settings)
    assert (gap["gap"], gap["gap_low"], gap["gap_high"]) == (0, 0, 0)


def test_pairing_gives_a_narrower_interval_than_two_apart(tested, settings):
    y, p, groups = tested
    better = p + 0.1 * y
    gap = paired_auroc_gap(y, better, p, groups, settings)
    assert gap["gap"] == pytest.approx(reference.roc_auc_score(y, better) - reference.roc_auc_score(y, p))
    assert 0 < gap["gap_low"] < gap["gap"] < gap["gap_high"]
    resamples = resample(y, groups, settings)
    low, high = resamples.interval(auroc_resamples(y, p, resamples))
    assert gap["gap_high"] - gap["gap_low"] < high - low


def rows_of_skill(predictions, *skills, seed=0):
    """Rows that see the same cells, each with a habit of its own towards every subject."""
    generator = np.random.default_rng(seed)
    subjects = predictions["subject"].unique()
    logit = np.log(predictions["p_all"] / (1 - predictions["p_all"]))
    rows = {}
    for number, skill in enumerate(skills):
        habit = dict(zip(subjects, generator.normal(0, 0.3, len(subjects)), strict=True))
        said = logit + predictions["subject"].map(habit) + skill * (2 * predictions["label"] - 1)
        rows[f"row_{number}"] = predictions.assign(p_all=1 / (1 + np.exp(-said)))
    return rows


def test_every_pair_of_rows_is_compared_once_as_a_pair_alone_would_be(predictions, settings):
    rows = rows_of_skill(predictions, 0, 0.1, 1.5)
    found = compare_rows(rows, settings)
    assert [(pair["a"], pair["b"]) for pair in found] == [("row_0", "row_1"), ("row_0", "row_2"), ("row_1", "row_2")]
    for pair in found:
        a, b = (side_of(rows[pair[name]], "test") for name in ("a", "b"))
        (y, p_a), (_, p_b) = labels_and_scores(a), labels_and_scores(b)
        alone = paired_auroc_gap(y, p_a, p_b, a["group"], settings)
        assert [pair[key] for key in ("gap", "gap_low", "gap_high")] == pytest.approx(
            [alone[key] for key in ("gap", "gap_low", "gap_high")]
        )
        assert (pair["n"], pair["n_groups"], pair["interval_reason"]) == (len(a), 14, None)


def test_a_clear_difference_stands_out_and_its_correction_costs(make_predictions, settings):
    predictions = make_predictions(subjects_all=15, subjects_hem=12)
    near, far, also_far = compare_rows(rows_of_skill(predictions, 0, 0.1, 1.5), settings)
    assert near["p_corrected"] > 0.3
    for pair in (far, also_far):
        assert pair["gap_high"] < 0
        assert pair["p"] < pair["p_corrected"] < 0.05
    single = compare_rows(rows_of_skill(predictions, 0, 0.1), settings)
    assert single[0]["p"] == single[0]["p_corrected"] == near["p"]


def test_more_rows_make_the_same_difference_less_remarkable(predictions, settings):
    rows = rows_of_skill(predictions, 0, 0.7, *[0.3] * 6)
    few, many = compare_rows(dict(list(rows.items())[:2]), settings)[0], compare_rows(rows, settings)[0]
    assert few["p"] == many["p"]
    assert many["p_corrected"] > 1.5 * few["p_corrected"]


def test_a_row_does_not_differ_from_its_copy(predictions, settings):
    (pair,) = compare_rows({"row": predictions, "copy": predictions.copy()}, settings)
    assert (pair["gap"], pair["gap_low"], pair["gap_high"], pair["p"], pair["p_corrected"]) == (0, 0, 0, 1, 1)


def test_one_row_has_nothing_to_be_compared_with(predictions, settings):
    assert compare_rows({"row": predictions}, settings) == []


def test_too_few_groups_give_a_gap_without_a_p(make_predictions, settings):
    made = make_predictions(subjects_hem=2)
    (pair,) = compare_rows(rows_of_skill(made, 0, 1), settings)
    assert pair["gap"] < 0
    assert [pair[key] for key in ("gap_low", "gap_high", "p", "p_corrected")] == [None] * 4
    assert pair["interval_reason"] == "2 groups of hem: too few to resample"


def test_rows_that_tested_other_images_are_not_compared(predictions, settings):
    with pytest.raises(DataError, match="other and row did not test the same images"):
        compare_rows({"row": predictions, "other": predictions.iloc[1:]}, settings)


def test_rows_that_do_not_differ_seldom_seem_to(make_predictions):
    settings, shown = Evaluate(bootstrap=200), 0
    for family in range(40):
        made = make_predictions(subjects_all=9, subjects_hem=9, images=8, seed=family)
        pairs = compare_rows(rows_of_skill(made, 0, 0, 0, 0, seed=family), settings)
        shown += min(pair["p_corrected"] for pair in pairs) < 0.05
    assert shown <= 2


def test_the_gap_in_accuracy_is_that_of_the_two_and_pairing_narrows_its_interval(predictions, settings):
    rows = rows_of_skill(predictions, 0.3, 0)
    gap = accuracy_gap(rows, settings)
    for name, key in (("row_0", "accuracy_a"), ("row_1", "accuracy_b")):
        test = rows[name][rows[name]["side"] == "test"]
        assert gap[key] == pytest.approx(((test["p_all"] > 0.5) == test["label"]).mean())
    assert gap["gap"] == pytest.approx(gap["accuracy_a"] - gap["accuracy_b"])
    assert gap["gap_low"] <= gap["gap"] <= gap["gap_high"]
    swapped = accuracy_gap(dict(reversed(rows.items())), settings)
    assert (swapped["gap_low"], swapped["gap_high"]) == pytest.approx((-gap["gap_high"], -gap["gap_low"]), abs=1e-9)
    same = accuracy_gap({"row": predictions, "copy": predictions.copy()}, settings)
    assert (same["gap"], same["gap_low"], same["gap_high"]) == (0, 0, 0)
