"""Intervals that resample groups: the images of one subject are no independent witnesses.

A resample draws groups with replacement, as many as there are, apart within three strata (groups of ALL cells alone,
of hem cells alone, and of both), so both classes stay present. All copies of a drawn group's rows come along, so a
resample is a vector of whole weights over groups and no image is touched again.

Quantiles of the resamples are too narrow where groups are few. An interval therefore takes them further out, where a
t interval of as many groups would reach: the expanded percentile interval (Hesterberg 2015, doi
10.1080/00031305.2015.1089789, section 5.3). Groups count by their effective number, since a few large ones say less.
Fewer than 3 groups of a class give no interval but a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, t

from leukoscope.config.params import Evaluate
from leukoscope.stats.metrics import CLASSES, Labels

TOO_FEW_GROUPS = 3

Floats = NDArray[np.float64]
Interval = tuple[float | None, float | None]


@dataclass(frozen=True)
class Resamples:
    """How often each group is drawn in each resample.

    `member` is each row's group as an index, `weights` [resamples, groups] the counts, `effective` the effective number
    of groups of each class, and `reason` says why there are no resamples (then `weights` has no rows), else it is None.
    """

    member: NDArray[np.int64]
    weights: Floats
    effective: dict[int, float]
    level: float
    reason: str | None

    def sums(self, columns: Floats) -> Floats:
        """The totals [resamples, k] of per-row values [rows, k]."""
        groups = self.weights.shape[1]
        by_group = [np.bincount(self.member, weights=column, minlength=groups) for column in columns.T]
        return self.weights @ np.stack(by_group, axis=1)

    def tallies(self, y: Labels, place: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """How many ALL and how many hem each resample has at each place (0, 1, ...): two of [resamples, places]."""
        at = np.zeros((2, self.weights.shape[1], int(place.max()) + 1))
        np.add.at(at, (y, self.member, place), 1)
        return self.weights @ at[1], self.weights @ at[0]

    def interval(self, values: Floats, labels: Sequence[int] = (1, 0)) -> Interval:
        """The expanded percentile interval of a resampled figure that rests on the groups of these classes.

        With n effective groups of the scarcer class its tails are those of a normal beyond
        sqrt(n / (n - 1)) t(n - 1). (None, None) for no values, or if any is not defined.
        """
        if not values.size or np.isnan(values).any():
            return None, None
        n = min(self.effective[label] for label in labels)
        tail = norm.sf(small_sample_factor(n) * t.isf((1 - self.level) / 2, n - 1))
        low, high = np.quantile(values, [tail, 1 - tail])
        return float(low), float(high)


def small_sample_factor(n: float) -> float:
    """What the spread of resampled means of n groups lacks of their standard error: sqrt(n / (n - 1))."""
    return float(np.sqrt(n / (n - 1)))


def group_sizes(y: Labels, groups: ArrayLike) -> dict[int, NDArray[np.int64]]:
    """The number of rows of each group that has any, for each class."""
    names = np.asarray(groups)
    return {label: np.unique(names[y == label], return_counts=True)[1] for label in CLASSES}


def effective_number(sizes: ArrayLike) -> float:
    """(sum n)^2 / sum n^2: as many groups of equal size would weigh as much as these (Kish). 0 for none."""
    n = np.asarray(sizes, dtype=np.float64)
    return float(n.sum() ** 2 / np.sum(n**2)) if n.size else 0.0


def too_few_groups(y: Labels, groups: ArrayLike, labels: Sequence[int] = (1, 0)) -> str | None:
    """Why groups of these classes cannot be resampled, or None if they can."""
    counts = {CLASSES[label]: len(group_sizes(y, groups)[label]) for label in labels}
    few = [f"{n} group{'' if n == 1 else 's'} of {name}" for name, n in counts.items() if n < TOO_FEW_GROUPS]
    return f"{' and '.join(few)}: too few to resample" if few else None


def resample(y: Labels, groups: ArrayLike, settings: Evaluate, labels: Sequence[int] = (1, 0)) -> Resamples:
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
    effective = {label: effective_number(sizes) for label, sizes in group_sizes(y, groups).items()}
    return Resamples(member.astype(np.int64), weights, effective, settings.level, reason)
