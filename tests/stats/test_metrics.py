import numpy as np
import pytest
from sklearn import metrics as reference

from leukoscope.stats.metrics import (
    CLASSES,
    ECE_BINS,
    METRICS,
    UNDEFINED,
    auroc_by_group,
    calibration_bin,
    called_all,
    confusion,
    expected_calibration_error,
    measure,
)

REFERENCE = {
    "accuracy": lambda y, p: reference.accuracy_score(y, p > 0.5),
    "precision": lambda y, p: reference.precision_score(y, p > 0.5),
    "recall": lambda y, p: reference.recall_score(y, p > 0.5),
    "specificity": lambda y, p: reference.recall_score(1 - y, p <= 0.5),
    "f1": lambda y, p: reference.f1_score(y, p > 0.5),
    "weighted_f1": lambda y, p: reference.f1_score(y, p > 0.5, average="weighted"),
    "auroc": reference.roc_auc_score,
    "auprc": reference.average_precision_score,
    "brier": reference.brier_score_loss,
}


def random_cells(seed: int, n: int = 500) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    y = (generator.random(n) < 0.68).astype(np.int64)
    return y, np.round(np.clip(generator.normal(0.4 + 0.2 * y, 0.25), 0, 1), 2)


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize("seed", range(5))
def test_a_metric_equals_scikit_learns(name, seed):
    y, p = random_cells(seed)
    assert METRICS[name](y, p) == pytest.approx(REFERENCE[name](y, p), abs=1e-12)


def test_the_calibration_error_is_the_distance_of_bins_with_equally_many_images():
    y, _ = random_cells(1)
    p = np.random.default_rng(1).beta(2, 1, len(y))
    order = np.argsort(p)
    bins = np.array_split(order, ECE_BINS)
    assert {len(rows) for rows in bins} == {33, 34}
    assert max(np.bincount(calibration_bin(p))) - min(np.bincount(calibration_bin(p))) <= 1
    expected = sum(len(rows) * abs(y[rows].mean() - p[rows].mean()) for rows in bins) / len(y)
    assert expected_calibration_error(y, p) == pytest.approx(expected, abs=5e-3)  # a bin may hold one image more


def test_equal_scores_share_a_bin():
    p = np.repeat([0.1, 0.5, 1.0], [400, 5, 95])
    bins = calibration_bin(p)
    assert [len(np.unique(bins[p == value])) for value in (0.1, 0.5, 1.0)] == [1, 1, 1]
    y = (np.arange(500) % 2).astype(np.int64)
    expected = sum(abs(np.sum((p - y)[bins == number])) for number in np.unique(bins)) / 500
    assert expected_calibration_error(y, p) == pytest.approx(expected)


def test_all_is_the_positive_class():
    y, p = np.array([1, 1, 1, 0]), np.array([0.9, 0.8, 0.2, 0.1])
    assert CLASSES == {1: "ALL", 0: "hem"}
    assert confusion(y, called_all(p)) == {"tp": 2, "tn": 1, "fp": 0, "fn": 1}
    assert measure(y, p)["recall"] == pytest.approx(2 / 3)
    assert measure(y, p)["specificity"] == 1


def test_exactly_one_half_is_not_called_all():
    assert called_all(np.array([0.5, np.nextafter(0.5, 1)])).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("y", "p", "undefined"),
    [
        ([1, 0], [0.1, 0.2], {"precision"}),
        ([1, 1], [0.9, 0.2], {"specificity", "auroc", "auprc"}),
        ([0, 0], [0.1, 0.2], {"precision", "recall", "f1", "auroc", "auprc"}),
        ([], [], set(METRICS)),
    ],
)
def test_a_metric_without_a_meaning_is_none_and_has_a_reason(y, p, undefined):
    measured = measure(np.array(y, dtype=np.int64), np.array(p, dtype=np.float64))
    assert {name for name, value in measured.items() if value is None} == undefined
    assert undefined <= set(UNDEFINED)


def test_by_group_a_large_group_weighs_no_more_than_a_small_one():
    y = np.array([1] * 101 + [0])
    p = np.array([0.1] * 100 + [0.9, 0.5])
    groups = np.array(["large"] * 100 + ["small", "x"])
    assert auroc_by_group(y, p, groups) == pytest.approx(0.5)
    assert measure(y, p)["auroc"] == pytest.approx(1 / 101)
    assert auroc_by_group(y[y == 1], p[y == 1], groups[y == 1]) is None
