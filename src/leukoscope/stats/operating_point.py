"""The operating point of a model, chosen on its validation side alone: threshold, refer band and calibration.

A cell is called ALL where p > threshold. The rule takes the smallest threshold that keeps the wanted specificity on the
validation side, since a smaller one only gains sensitivity. The refer band is the interval of that threshold over
resampled groups: for p inside it, the call depends on which subjects happened to validate, so a person should look.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from leukoscope.config.params import Evaluate, Threshold
from leukoscope.core.errors import SplitError
from leukoscope.stats.bootstrap import Floats, Interval, resample
from leukoscope.stats.calibration import platt
from leukoscope.stats.metrics import CLASSES, Labels, Scores, called_all, confusion
from leukoscope.stats.points import Decided, OperatingPoint

ROUNDING = 1e-9  # 0.55 * 100 is 55.00000000000001, yet asks for 55 images, not for 56


def threshold_at_specificity(y: Labels, p: Scores, at_least: float) -> float:
    """The smallest threshold t with at least this share of hem images at p <= t. It is one of their p."""
    hem = np.sort(p[y == 0])
    return float(hem[max(math.ceil(at_least * len(hem) - ROUNDING), 1) - 1])


def _resampled_thresholds(p: Scores, weights: Floats, at_least: float) -> Floats:
    order = np.argsort(p, kind="stable")
    thresholds = np.empty(len(weights))
    for index, drawn in enumerate(weights):
        below = np.cumsum(drawn[order])
        thresholds[index] = p[order[np.searchsorted(below, at_least * below[-1] - ROUNDING)]]
    return thresholds


def refer_band(
    y: Labels, p: Scores, groups: ArrayLike, at_least: float, settings: Evaluate
) -> tuple[Interval, str | None]:
    """The interval of the threshold over resampled groups, and the reason if there is none."""
    resamples = resample(y, groups, settings, labels=(0,))
    if resamples.reason:
        return (None, None), resamples.reason
    hem = y == 0
    thresholds = _resampled_thresholds(p[hem], resamples.weights[:, resamples.member[hem]], at_least)
    return resamples.interval(thresholds, labels=(0,)), None


def operating_point(
    y: Labels, p: Scores, groups: ArrayLike, threshold: Threshold, settings: Evaluate
) -> OperatingPoint:
    """Everything that a fold's validation side decides.

    Raises SplitError if the validation side lacks a class.
    """
    for label, name in CLASSES.items():
        if not (y == label).any():
            raise SplitError(f"the validation side has no {name} images, so no threshold can be chosen: use more folds")
    chosen = threshold_at_specificity(y, p, threshold.at_least)
    (low, high), reason = refer_band(y, p, groups, threshold.at_least, settings)
    counts = confusion(y, called_all(p, chosen))
    return OperatingPoint(
        rule=threshold.rule,
        at_least=threshold.at_least,
        threshold=chosen,
        sensitivity=counts["tp"] / (counts["tp"] + counts["fn"]),
        specificity=counts["tn"] / (counts["tn"] + counts["fp"]),
        refer_low=low,
        refer_high=high,
        refer_reason=reason,
        level=settings.level,
        calibration=platt(y, p),
        n=len(y),
    )


def decide(predictions: pd.DataFrame, threshold: Threshold, settings: Evaluate) -> Decided:
    """Operating points from the val rows of `predictions`: one for each fold, and one pooled over all.

    A fold's own point serves its test figures; the pooled one serves a model that joins the folds.
    """
    val = predictions[predictions["side"] == "val"]

    def point(rows: pd.DataFrame) -> OperatingPoint:
        scores = rows["p_all"].to_numpy(np.float64)
        return operating_point(rows["label"].to_numpy(np.int64), scores, rows["group"], threshold, settings)

    return Decided({str(fold): point(rows) for fold, rows in val.groupby("fold")}, point(val))
