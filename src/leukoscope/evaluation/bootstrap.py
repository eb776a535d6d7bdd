"""Intervals that resample groups: the images of one subject are no independent witnesses.

A resample draws groups with replacement, as many as there are, apart within three strata (groups of ALL cells alone,
of hem cells alone, and of both), so both classes stay present. All copies of a drawn group's rows come along. An
interval is the percentile interval over the resamples. Fewer than 3 groups of a class give no interval but a reason.

Every resample is a vector of whole weights w over groups, so no image is touched again: counts are w @ S for sums S
over groups, and the area under the ROC curve is w' U v / (w'n)(v'm), where U holds for each pair of groups how often a
positive of the one stands above a negative of the other (ties count half).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.config import Evaluate
from leukoscope.evaluation.metrics import (
    ARGMAX,
    CLASSES,
    ECE_BINS,
    METRICS,
    Labels,
    Scores,
    calibration_bin,
    called_all,
)

TOO_FEW_GROUPS = 3
_BLOCK = 2**24  # entries of U held at once (128 MiB), for sets where every image is its own group

Floats = NDArray[np.float64]
Interval = tuple[float | None, float | None]


@dataclass(frozen=True)
class Resamples:
    """How often each group is drawn in each resample.

    `member` is each row's group as an index, `weights` [resamples, groups] the counts, and `reason` says why there are
    none (then `weights` has no rows), else it is None.
    """

    member: NDArray[np.int64]
    weights: Floats
    level: float
    reason: str | None

    def sums(self, columns: Floats) -> Floats:
        """The totals [resamples, k] of per-row values [rows, k]."""
        groups = self.weights.shape[1]
        by_group = [np.bincount(self.member, weights=column, minlength=groups) for column in columns.T]
        return self.weights @ np.stack(by_group, axis=1)


def group_sizes(y: Labels, groups: ArrayLike) -> dict[int, NDArray[np.int64]]:
    """The number of rows of each group that has any, for each class."""
    names = np.asarray(groups)
    return {label: np.unique(names[y == label], return_counts=True)[1] for label in CLASSES}


def effective_number(sizes: ArrayLike) -> float:
    """(sum n)^2 / sum n^2: as many groups of equal size would weigh as much as these (Kish). 0 for none."""
    n = np.asarray(sizes, dtype=np.float64)
    return float(n.sum() ** 2 / np.sum(n**2)) if n.size else 0.0


def too_few_groups(y: Labels, groups: ArrayLike, labels: tuple[int, ...] = (1, 0)) -> str | None:
    """Why groups of these classes cannot be resampled, or None if they can."""
    counts = {CLASSES[label]: len(group_sizes(y, groups)[label]) for label in labels}
    few = [f"{n} group{'' if n == 1 else 's'} of {name}" for name, n in counts.items() if n < TOO_FEW_GROUPS]
    return f"{' and '.join(few)}: too few to resample" if few else None


def resample(y: Labels, groups: ArrayLike, settings: Evaluate, labels: tuple[int, ...] = (1, 0)) -> Resamples:
    """Draw `settings.bootstrap` resamples of the groups; the order of the rows changes nothing.

    `labels` are the classes that must have at least 3 groups each.
    """
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    reason = too_few_groups(y, groups, labels)
    count = 0 if reason else settings.bootstrap
    weights = np.zeros((count, len(names)))
    has = {label: np.bincount(member[y == label], minlength=len(names)) > 0 for label in CLASSES}
    generator = np.random.Generator(np.random.PCG64(settings.seed))
    for stratum in (has[1] & ~has[0], has[0] & ~has[1], has[1] & has[0]):
        size = int(stratum.sum())
        if count and size:
            weights[:, stratum] = generator.multinomial(size, np.full(size, 1 / size), size=count)
    return Resamples(member.astype(np.int64), weights, settings.level, reason)


def percentile_interval(values: Floats, level: float) -> Interval:
    """The central `level` share of the resampled values; (None, None) for no values, or if any is not defined."""
    if not values.size or np.isnan(values).any():
        return None, None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def concordance(y: Labels, p: Scores, member: NDArray[np.int64], columns: NDArray[np.int64]) -> Floats:
    """U [groups, columns]: wins plus half the ties of each group's positives over the negatives of groups `columns`."""
    rows = int(member.max()) + 1
    positives = np.flatnonzero(y == 1)
    positives = positives[np.argsort(p[positives], kind="stable")]
    scores, owner = p[positives], member[positives]
    negative_scores, negative_owner = p[y == 0], member[y == 0]
    matrix = np.empty((rows, len(columns)))
    for column, group in enumerate(columns):
        below = np.sort(negative_scores[negative_owner == group])
        wins = np.searchsorted(below, scores, side="left") + np.searchsorted(below, scores, side="right")
        matrix[:, column] = np.bincount(owner, weights=wins / 2, minlength=rows)
    return matrix


def auroc_resamples(y: Labels, p: Scores, resamples: Resamples) -> Floats:
    """The area under the ROC curve in each resample.

    Sums of halves are exact in float64, so the value does not depend on the order of rows or on threads.
    """
    weights, member = resamples.weights, resamples.member
    negatives = np.unique(member[y == 0])
    wins = np.zeros(len(weights))
    width = max(1, _BLOCK // weights.shape[1])
    for start in range(0, len(negatives), width):
        block = negatives[start : start + width]
        wins += np.sum((weights @ concordance(y, p, member, block)) * weights[:, block], axis=1)
    pairs = np.prod(resamples.sums(np.stack([y == 1, y == 0], axis=1).astype(np.float64)), axis=1)
    return wins / pairs


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
    """The Brier score and the expected calibration error in each resample."""
    distance = (calibration_bin(p)[:, None] == np.arange(ECE_BINS)) * (p - y)[:, None]
    sums = resamples.sums(np.column_stack([np.ones(len(y)), (p - y) ** 2, distance]))
    n = sums[:, 0]
    return {"brier": sums[:, 1] / n, "ece": np.abs(sums[:, 2:]).sum(axis=1) / n}


def metric_intervals(y: Labels, p: Scores, resamples: Resamples) -> dict[str, Interval]:
    """The interval of every metric in `METRICS`; calls are at p > 0.5."""
    if resamples.reason:
        return dict.fromkeys(METRICS, (None, None))
    values = {
        **count_resamples(y, called_all(p, ARGMAX), resamples),
        **calibration_resamples(y, p, resamples),
        "auroc": auroc_resamples(y, p, resamples),
    }
    return {name: percentile_interval(values[name], resamples.level) for name in METRICS}


def paired_auroc_gap(y: Labels, p_a: Scores, p_b: Scores, groups: ArrayLike, settings: Evaluate) -> dict[str, Any]:
    """AUROC(a) - AUROC(b) of two predictions on the same images, with an interval over shared resamples.

    Keys: auroc_a, auroc_b, gap, gap_low, gap_high, interval_reason. With one class only the areas and the gap are None.
    """
    area = METRICS["auroc"]
    a, b = area(y, p_a), area(y, p_b)
    resamples = resample(y, groups, settings)
    low: float | None = None
    high: float | None = None
    if not resamples.reason:
        gaps = auroc_resamples(y, p_a, resamples) - auroc_resamples(y, p_b, resamples)
        low, high = percentile_interval(gaps, resamples.level)
    return {
        "auroc_a": a,
        "auroc_b": b,
        "gap": None if a is None or b is None else a - b,
        "gap_low": low,
        "gap_high": high,
        "interval_reason": resamples.reason,
    }
