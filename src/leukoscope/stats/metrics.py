"""The metrics by name, as functions of y (1 is ALL, 0 is hem) and p, the probability of ALL.

Table IV's metrics take ALL as the positive class and call a cell ALL where p > 0.5, which is the paper's argmax over
its two sigmoids. A metric that is not defined on the images given is None, never a made-up 0; `UNDEFINED` says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics as reference

CLASSES: dict[int, str] = {1: "ALL", 0: "hem"}
ARGMAX = 0.5
ECE_BINS = 15
DIGITS = 10

Labels = NDArray[np.int64]
Scores = NDArray[np.float64]
Metric = Callable[[Labels, Scores], float | None]


def called_all(p: Scores, threshold: float | Scores = ARGMAX) -> Labels:
    """1 where p lies above the threshold (one for all, or one for each row), else 0."""
    return (p > threshold).astype(np.int64)


def calibration_bin(p: Scores) -> NDArray[np.int64]:
    """The bin, 0 to ECE_BINS - 1, of each p: cut at its quantiles, so that bins hold equally many images.

    Equal p share a bin, so with many ties some bins are empty.
    """
    if not len(p):
        return np.empty(0, dtype=np.int64)
    return np.searchsorted(np.quantile(p, np.arange(1, ECE_BINS) / ECE_BINS), p, side="left")


def _accuracy(y: Labels, p: Scores) -> float | None:
    return float(reference.accuracy_score(y, called_all(p))) if len(y) else None


def _precision(y: Labels, p: Scores) -> float | None:
    called = called_all(p)
    return float(reference.precision_score(y, called)) if called.any() else None


def _recall(y: Labels, p: Scores) -> float | None:
    return float(reference.recall_score(y, called_all(p))) if y.any() else None


def _specificity(y: Labels, p: Scores) -> float | None:
    return float(reference.recall_score(y, called_all(p), pos_label=0)) if (y == 0).any() else None


def _f1(y: Labels, p: Scores) -> float | None:
    called = called_all(p)
    return float(reference.f1_score(y, called)) if (y | called).any() else None


def _weighted_f1(y: Labels, p: Scores) -> float | None:
    return float(reference.f1_score(y, called_all(p), average="weighted", zero_division=0)) if len(y) else None


def _auroc(y: Labels, p: Scores) -> float | None:
    return float(reference.roc_auc_score(y, p)) if 0 < y.sum() < len(y) else None


def _auprc(y: Labels, p: Scores) -> float | None:
    return float(reference.average_precision_score(y, p)) if 0 < y.sum() < len(y) else None


def _brier(y: Labels, p: Scores) -> float | None:
    return float(reference.brier_score_loss(y, p, pos_label=1)) if len(y) else None


def expected_calibration_error(y: Labels, p: Scores) -> float | None:
    """The mean distance between p and the share of ALL over 15 bins of p that hold equally many images.

    It is the error of p(ALL) itself, as a reader of p meets it. The variant over the confidence of the called class
    (Guo 2017) folds both classes into the bins above 0.5 and gives another figure.
    """
    if not len(y):
        return None
    distance = np.bincount(calibration_bin(p), weights=p - y, minlength=ECE_BINS)
    return float(np.abs(distance).sum() / len(y))


METRICS: Mapping[str, Metric] = {
    "accuracy": _accuracy,
    "precision": _precision,
    "recall": _recall,
    "specificity": _specificity,
    "f1": _f1,
    "weighted_f1": _weighted_f1,
    "auroc": _auroc,
    "auprc": _auprc,
    "brier": _brier,
    "ece": expected_calibration_error,
}


def auroc_by_group(y: Labels, p: Scores, groups: ArrayLike) -> float | None:
    """The area under the ROC curve where every group weighs 1 in each class, however many images it has."""
    if not 0 < y.sum() < len(y):
        return None
    rows = pd.DataFrame({"y": y, "group": np.asarray(groups)})
    size = rows.groupby(["y", "group"])["y"].transform("size")
    return float(reference.roc_auc_score(y, p, sample_weight=1 / size))


CALL_METRICS = ("accuracy", "precision", "recall", "specificity", "f1", "weighted_f1")

UNDEFINED: Mapping[str, str] = {
    "accuracy": "no images",
    "precision": "no image was called ALL",
    "recall": "no ALL images",
    "sensitivity": "no ALL images",
    "specificity": "no hem images",
    "f1": "no ALL images, and none was called ALL",
    "weighted_f1": "no images",
    "auroc": "images of one class only",
    "auroc_fold_mean": "no fold has images of both classes",
    "auroc_by_group": "images of one class only",
    "auprc": "images of one class only",
    "brier_skill": "train images of one class only",
    "slope": "the classes do not overlap",
    "intercept": "images of one class only",
    "brier": "no images",
    "ece": "no images",
}


def measure(y: Labels, p: Scores) -> dict[str, float | None]:
    """Every metric of `METRICS` by name, in 0..1; None where it is not defined."""
    return {name: metric(y, p) for name, metric in METRICS.items()}


def measure_calls(y: Labels, called: Labels) -> dict[str, float | None]:
    """The metrics that follow from calls alone, `CALL_METRICS`, by name."""
    return {name: METRICS[name](y, called.astype(np.float64)) for name in CALL_METRICS}


def confusion(y: Labels, called: Labels) -> dict[str, int]:
    """The counts tp, tn, fp and fn, with ALL as the positive class."""
    return {
        "tp": int(np.sum((y == 1) & (called == 1))),
        "tn": int(np.sum((y == 0) & (called == 0))),
        "fp": int(np.sum((y == 0) & (called == 1))),
        "fn": int(np.sum((y == 1) & (called == 0))),
    }


def plain(value: Any) -> Any:
    """Plain Python values, with floats rounded to 10 significant digits so that a file's bytes are stable."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
