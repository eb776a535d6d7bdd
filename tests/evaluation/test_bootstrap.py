import numpy as np
import pytest
from sklearn import metrics as reference

from leukoscope.config import Evaluate
from leukoscope.evaluation import bootstrap
from leukoscope.evaluation.bootstrap import (
    auroc_resamples,
    calibration_resamples,
    count_resamples,
    effective_number,
    metric_intervals,
    paired_auroc_gap,
    percentile_interval,
    resample,
    too_few_groups,
)
from leukoscope.evaluation.metrics import METRICS, called_all, expected_calibration_error
from leukoscope.evaluation.results import labels_and_scores, side_of


@pytest.fixture
def tested(predictions):
    rows = side_of(predictions, "test")
    y, p = labels_and_scores(rows)
    return y, np.round(p, 2), rows["group"].to_numpy(str)  # rounded, so that there are ties


def test_each_resampled_area_is_scikit_learns_with_these_weights(tested, settings):
    y, p, groups = tested
    resamples = resample(y, groups, settings)
    areas = auroc_resamples(y, p, resamples)
    for weights, area in zip(resamples.weights[:25], areas[:25], strict=True):
        expected = reference.roc_auc_score(y, p, sample_weight=weights[resamples.member])
        assert area == pytest.approx(expected, abs=1e-12)


def test_each_resampled_count_metric_is_scikit_learns_with_these_weights(tested, settings):
    y, p, groups = tested
    called, resamples = called_all(p), resample(y, groups, settings)
    drawn = count_resamples(y, called, resamples) | calibration_resamples(y, p, resamples)
    for number, weights in enumerate(resamples.weights[:25]):
        w = weights[resamples.member]
        expected = {
            "accuracy": reference.accuracy_score(y, called, sample_weight=w),
            "precision": reference.precision_score(y, called, sample_weight=w),
            "recall": reference.recall_score(y, called, sample_weight=w),
            "specificity": reference.recall_score(y, called, pos_label=0, sample_weight=w),
            "f1": reference.f1_score(y, called, sample_weight=w),
            "weighted_f1": reference.f1_score(y, called, average="weighted", sample_weight=w),
            "brier": reference.brier_score_loss(y, p, sample_weight=w),
            "ece": expected_calibration_error(np.repeat(y, w.astype(int)), np.repeat(p, w.astype(int))),
        }
        assert {name: drawn[name][number] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_every_metric_gets_an_interval_around_it(tested, settings):
    y, p, groups = tested
    intervals = metric_intervals(y, p, resample(y, groups, settings))
    assert list(intervals) == list(METRICS)
    for name in set(METRICS) - {"ece"}:  # the calibration error of a resample is biased upwards
        low, high = intervals[name]
        assert low < METRICS[name](y, p) < high


def test_blocks_of_groups_add_up_to_the_same_area(tested, settings, monkeypatch):
    y, p, groups = tested
    resamples = resample(y, groups, settings)
    whole = auroc_resamples(y, p, resamples)
    monkeypatch.setattr(bootstrap, "_BLOCK", 1)
    assert np.array_equal(auroc_resamples(y, p, resamples), whole)


def test_resampling_images_gives_a_narrower_interval_than_resampling_groups(tested, settings):
    y, p, groups = tested

    def width(by):
        low, high = percentile_interval(auroc_resamples(y, p, resample(y, by, settings)), 0.95)
        return high - low

    assert width(groups) > 1.5 * width(np.arange(len(y)))


def test_a_resample_keeps_the_number_of_groups_of_each_stratum(settings):
    y = np.array([1, 1, 1, 1, 0, 0, 0, 1, 0, 1, 0])
    groups = np.array(["a", "b", "c", "c", "x", "y", "z", "m", "m", "n", "n"])
    weights = resample(y, groups, settings).weights
    strata = {"ALL": [0, 1, 2], "both": [3, 4], "hem": [5, 6, 7]}  # by name: a b c, m n, x y z
    assert {name: set(weights[:, columns].sum(axis=1)) for name, columns in strata.items()} == {
        "ALL": {3},
        "both": {2},
        "hem": {3},
    }
    assert weights.std(axis=0).min() > 0


def test_the_same_seed_draws_the_same_whatever_the_order_of_rows(tested, settings):
    y, p, groups = tested
    order = np.random.default_rng(0).permutation(len(y))
    first = auroc_resamples(y, p, resample(y, groups, settings))
    again = auroc_resamples(y[order], p[order], resample(y[order], groups[order], settings))
    other = auroc_resamples(y, p, resample(y, groups, Evaluate(bootstrap=settings.bootstrap, seed=settings.seed + 1)))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("hem_groups", "reason"),
    [(["x", "y"], "2 groups of hem: too few to resample"), (["x", "x"], "1 group of hem: too few to resample")],
)
def test_fewer_than_three_groups_of_a_class_give_no_interval_but_a_reason(hem_groups, reason, settings):
    y, groups = np.array([1, 1, 1, 0, 0]), np.array(["a", "b", "c", *hem_groups])
    p = np.array([0.9, 0.8, 0.3, 0.4, 0.1])
    resamples = resample(y, groups, settings)
    assert resamples.reason == too_few_groups(y, groups) == reason
    assert set(metric_intervals(y, p, resamples).values()) == {(None, None)}
    gap = paired_auroc_gap(y, p, 1 - p, groups, settings)
    assert (gap["gap_low"], gap["gap_high"], gap["interval_reason"]) == (None, None, reason)
    assert gap["gap"] == pytest.approx(5 / 6 - 1 / 6)


def test_both_classes_can_be_too_few(settings):
    reason = resample(np.array([1, 0]), np.array(["a", "x"]), settings).reason
    assert reason == "1 group of ALL and 1 group of hem: too few to resample"


def test_a_metric_that_some_resample_leaves_undefined_has_no_interval():
    y, groups = np.array([1, 1, 1, 0, 0, 0]), np.array(list("abcxyz"))
    p = np.array([0.9, 0.2, 0.2, 0.1, 0.1, 0.1])  # without group a, no image is called ALL
    intervals = metric_intervals(y, p, resample(y, groups, Evaluate(bootstrap=5000)))
    assert intervals["precision"] == (None, None)
    assert intervals["recall"] == (0, 1)


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
    low, high = percentile_interval(auroc_resamples(y, p, resample(y, groups, settings)), settings.level)
    assert gap["gap_high"] - gap["gap_low"] < high - low


def test_a_higher_level_widens_the_interval(tested):
    y, p, groups = tested
    narrow, wide = (
        metric_intervals(y, p, resample(y, groups, Evaluate(bootstrap=400, level=level)))["auroc"]
        for level in (0.5, 0.99)
    )
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_unequal_groups_count_as_fewer():
    assert effective_number([10, 10, 10]) == pytest.approx(3)
    assert effective_number([404, 100, 50]) < 2
    assert effective_number([]) == 0
