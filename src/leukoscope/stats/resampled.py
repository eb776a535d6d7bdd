"""Every metric in every resample of the groups, as arrays: what the intervals are made of.

Counts are w @ S for group weights w and sums S over groups, and the area under the ROC curve is
w' U v / (w'n)(v'm), where U holds for each pair of groups how often a positive of the one stands above a negative of
the other (ties count half).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from leukoscope.stats.bootstrap import Floats, Resamples
from leukoscope.stats.metrics import ECE_BINS, Labels, Scores, calibration_bin
from leukoscope.stats.operating_point import ROUNDING

_BLOCK = 2**24  # entries of U held at once (128 MiB), for sets where every image is its own group
_CURVE_POINTS = 1024


def concordance(y: Labels, p: Scores, member: NDArray[np.int64], groups: int, columns: NDArray[np.int64]) -> Floats:
    """U [groups, columns]: wins plus half the ties of each group's positives over the negatives of groups `columns`."""
    positives = np.flatnonzero(y == 1)
    positives = positives[np.argsort(p[positives], kind="stable")]
    scores, owner = p[positives], member[positives]
    negative_scores, negative_owner = p[y == 0], member[y == 0]
    matrix = np.empty((groups, len(columns)))
    for column, group in enumerate(columns):
        below = np.sort(negative_scores[negative_owner == group])
        wins = np.searchsorted(below, scores, side="left") + np.searchsorted(below, scores, side="right")
        matrix[:, column] = np.bincount(owner, weights=wins / 2, minlength=groups)
    return matrix


def auroc_resamples(y: Labels, p: Scores, resamples: Resamples, *, by_group: bool = False) -> Floats:
    """The area under the ROC curve in each resample, NaN where a class is absent; `by_group`: every group weighs 1.

    Sums of halves are exact in float64, so the pooled value does not depend on the order of rows or on threads.
    """
    member, groups = resamples.member, resamples.weights.shape[1]
    positives, negatives = (np.bincount(member[y == label], minlength=groups) for label in (1, 0))
    positive_weights, negative_weights = (
        resamples.weights / np.maximum(sizes, 1) if by_group else resamples.weights for sizes in (positives, negatives)
    )
    with_negatives = np.flatnonzero(negatives)
    wins = np.zeros(len(resamples.weights))
    width = max(1, _BLOCK // groups)
    for start in range(0, len(with_negatives), width):
        block = with_negatives[start : start + width]
        matrix = concordance(y, p, member, groups, block)
        wins += np.sum((positive_weights @ matrix) * negative_weights[:, block], axis=1)
    return _share(wins, (positive_weights @ positives) * (negative_weights @ negatives))


def fold_mean_auroc_resamples(y: Labels, p: Scores, folds: NDArray[np.int64], resamples: Resamples) -> Floats:
    """The mean over folds of their areas in each resample: over those folds that have both classes in it."""
    areas = []
    for fold in np.unique(folds):
        rows = folds == fold
        of_fold = Resamples(
            resamples.member[rows], resamples.weights, resamples.effective, resamples.level, resamples.reason
        )
        areas.append(auroc_resamples(y[rows], p[rows], of_fold))
    defined = ~np.isnan(areas)
    return _share(np.nansum(areas, axis=0), defined.sum(axis=0).astype(np.float64))


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def count_resamples(y: Labels, called: Labels, resamples: Resamples) -> dict[str, Floats]:
    """The metrics that follow from calls alone, in each resample; NaN where one is not defined."""
    cells = np.stack([y & called, (1 - y) & called, y & (1 - called), (1 - y) & (1 - called)], axis=1)
    tp, fp, fn, tn = resamples.sums(cells.astype(np.float64)).T
    n = tp + fp + fn + tn
    f1, f1_of_hem = _share(2 * tp, 2 * tp + fp + fn), _share(2 * tn, 2 * tn + fp + fn)
    return {
        "accuracy": _share(tp + tn, n),
        "precision": _share(tp, tp + fp),
        "recall": _share(tp, tp + fn),
        "specificity": _share(tn, tn + fp),
        "f1": f1,
        "weighted_f1": _share(f1 * (tp + fn) + f1_of_hem * (tn + fp), n),
    }


def calibration_resamples(y: Labels, p: Scores, resamples: Resamples) -> dict[str, Floats]:
    """The Brier score and the expected calibration error in each resample, over the bins of all rows."""
    distance = (calibration_bin(p)[:, None] == np.arange(ECE_BINS)) * (p - y)[:, None]
    sums = resamples.sums(np.column_stack([np.ones(len(y)), (p - y) ** 2, distance]))
    n = sums[:, 0]
    return {"brier": sums[:, 1] / n, "ece": np.abs(sums[:, 2:]).sum(axis=1) / n}


def bin_share_resamples(y: Labels, bins: NDArray[np.int64], resamples: Resamples) -> Floats:
    """The share of ALL in each bin in each resample, [resamples, ECE_BINS]; NaN where a resample leaves it empty."""
    hits, hem = (np.zeros((len(resamples.weights), ECE_BINS)) for _ in range(2))
    filled = slice(0, int(bins.max()) + 1)
    hits[:, filled], hem[:, filled] = resamples.tallies(y, bins)
    return _share(hits, hits + hem)


def curve_resamples(
    y: Labels, p: Scores, resamples: Resamples, specificities: Sequence[float]
) -> tuple[Floats, Floats]:
    """The average precision [resamples], and the sensitivity at each specificity [resamples, k].

    Where there are more than 1,024 values of p, neighbours in rank count as tied, so that the curves stay small.
    """
    values, place = np.unique(-p, return_inverse=True)
    if len(values) > _CURVE_POINTS:
        place = place * _CURVE_POINTS // len(values)
    found, false = resamples.tallies(y, place)
    hits, alarms = np.cumsum(found, axis=1), np.cumsum(false, axis=1)
    precision = np.divide(hits, hits + alarms, out=np.zeros_like(hits), where=hits > 0)
    sensitivity = np.column_stack([np.zeros(len(hits)), hits / hits[:, -1:]])
    allowed = [(1 - at_least) * alarms[:, -1:] + ROUNDING for at_least in specificities]
    reached = np.stack([np.sum(alarms <= most, axis=1) for most in allowed], axis=1)
    return np.sum(found * precision, axis=1) / hits[:, -1], np.take_along_axis(sensitivity, reached, axis=1)
