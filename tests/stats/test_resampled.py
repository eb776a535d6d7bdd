import numpy as np
import pytest
from sklearn import metrics as reference
from sklearn.linear_model import LogisticRegression

from leukoscope.artifacts.predictions import side_of
from leukoscope.config.params import Evaluate
from leukoscope.stats import resampled
from leukoscope.stats.bootstrap import resample
from leukoscope.stats.calibration import log_odds, slope_and_intercept_resamples
from leukoscope.stats.metrics import calibration_bin, called_all
from leukoscope.stats.operating_point import threshold_at_specificity
from leukoscope.stats.resampled import (
    auroc_resamples,
    bin_share_resamples,
    calibration_resamples,
    count_resamples,
    curve_resamples,
    fold_mean_auroc_resamples,
)


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
            "ece": np.abs(np.bincount(calibration_bin(p), weights=w * (p - y))).sum() / w.sum(),
        }
        assert {name: drawn[name][number] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_each_resampled_share_of_a_bin_is_that_of_its_weighted_images(tested, settings):
    y, p, groups = tested
    bins, resamples = calibration_bin(p), resample(y, groups, settings)
    drawn = bin_share_resamples(y, bins, resamples)
    for weights, shares in zip(resamples.weights[:25], drawn[:25], strict=True):
        w = weights[resamples.member]
        for number, share in enumerate(shares):
            own = bins == number
            expected = np.average(y[own], weights=w[own]) if w[own].any() else np.nan
            assert share == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_blocks_of_groups_add_up_to_the_same_area(tested, settings, monkeypatch):
    y, p, groups = tested
    resamples = resample(y, groups, settings)
    whole = auroc_resamples(y, p, resamples)
    monkeypatch.setattr(resampled, "_BLOCK", 1)
    assert np.array_equal(auroc_resamples(y, p, resamples), whole)


def test_each_resampled_area_by_group_weighs_every_drawn_group_alike(tested, settings):
    y, p, groups = tested
    resamples = resample(y, groups, settings)
    size = np.array([np.sum((groups == group) & (y == label)) for group, label in zip(groups, y, strict=True)])
    areas = auroc_resamples(y, p, resamples, by_group=True)
    for weights, area in zip(resamples.weights[:25], areas[:25], strict=True):
        expected = reference.roc_auc_score(y, p, sample_weight=weights[resamples.member] / size)
        assert area == pytest.approx(expected, abs=1e-12)


def test_each_resampled_fold_mean_is_over_the_folds_that_kept_both_classes(predictions, tested, settings):
    y, p, groups = tested
    folds = side_of(predictions, "test")["fold"].to_numpy()
    resamples = resample(y, groups, settings)
    means, lost = fold_mean_auroc_resamples(y, p, folds, resamples), 0
    for weights, mean in zip(resamples.weights[:100], means[:100], strict=True):
        w, areas = weights[resamples.member], []
        for fold in np.unique(folds):
            rows = (folds == fold) & (w > 0)
            if len(np.unique(y[rows])) == 2:
                areas.append(reference.roc_auc_score(y[rows], p[rows], sample_weight=w[rows]))
        lost += len(areas) < 3
        assert mean == pytest.approx(np.mean(areas), abs=1e-12)
    assert lost  # with two hem groups in a fold, some resample leaves it none


def test_each_resampled_curve_is_scikit_learns_with_these_weights(tested, settings):
    y, p, groups = tested
    resamples = resample(y, groups, settings)
    precisions, sensitivities = curve_resamples(y, p, resamples, (0.9, 0.95))
    for number, weights in enumerate(resamples.weights[:25]):
        w = weights[resamples.member].astype(int)
        assert precisions[number] == pytest.approx(reference.average_precision_score(y, p, sample_weight=w), abs=1e-12)
        drawn_y, drawn_p = np.repeat(y, w), np.repeat(p, w)
        for at_least, sensitivity in zip((0.9, 0.95), sensitivities[number], strict=True):
            threshold = threshold_at_specificity(drawn_y, drawn_p, at_least)
            assert sensitivity == pytest.approx(np.mean(drawn_p[drawn_y == 1] > threshold), abs=1e-12)


def test_a_curve_of_very_many_scores_is_kept_small_and_close(settings):
    generator = np.random.default_rng(0)
    y = np.repeat([1, 0], 3000)
    p, groups = 1 / (1 + np.exp(-generator.normal(y, 1))), np.arange(6000) % 20 + 20 * y
    resamples = resample(y, groups, Evaluate(bootstrap=100))
    precisions, sensitivities = curve_resamples(y, p, resamples, (0.9,))
    for number, weights in enumerate(resamples.weights[:10]):
        w = weights[resamples.member].astype(int)
        assert precisions[number] == pytest.approx(reference.average_precision_score(y, p, sample_weight=w), abs=1e-3)
        threshold = threshold_at_specificity(np.repeat(y, w), np.repeat(p, w), 0.9)
        assert sensitivities[number] == pytest.approx(
            np.mean(np.repeat(p, w)[np.repeat(y, w) == 1] > threshold), abs=5e-3
        )


def test_each_resampled_slope_is_scikit_learns_with_these_weights(tested, settings):
    y, p, groups = tested
    resamples = resample(y, groups, settings)
    slopes, shifts = slope_and_intercept_resamples(y, p, resamples)
    logit = log_odds(p)
    for number, weights in enumerate(resamples.weights[:10]):
        w = weights[resamples.member]
        fit = LogisticRegression(C=np.inf, tol=1e-8).fit(logit[:, None], y, sample_weight=w)
        assert slopes[number] == pytest.approx(fit.coef_[0, 0], abs=0.01)
        assert np.average(1 / (1 + np.exp(-logit - shifts[number])), weights=w) == pytest.approx(
            np.average(y, weights=w), abs=1e-3
        )
