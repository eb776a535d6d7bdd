"""What a machine's decision and a cell's statistics are worth for unseen subjects: stacking (Wolpert 1992) over groups.

A machine that has thousands of columns fits its training images whatever a cell's area is, so an area among its columns
or beside its kernel gets no weight from images that it has fitted, nor do its decisions about them say how sure it may
be. Here each training image brings the decision of a machine that its group had no part in, and a logistic regression
weighs these decisions and the statistics: as they will meet an unseen subject. The logit is p's, calibrated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from leukoscope.core.errors import SplitError
from leukoscope.training.fitting import Vectors

PARTS = 5  # of the training groups, each left out once
SMALLEST_WEIGHT = 0.01  # of the decision: left-out groups say how sure p is, and do not turn the machine's order around
# From rows of `by_view` that a machine may know, and rows to decide about, to the decisions [rows to decide about].
LeftOut = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Evidence:
    """A logit that is linear in a decision and in statistics: their weights [1 + statistics], and its intercept."""

    weights: np.ndarray
    intercept: float

    def of(self, decision: np.ndarray, statistics: np.ndarray) -> np.ndarray:
        """The logits [n] of decisions [n] with statistics [n, columns]."""
        logit: np.ndarray = np.column_stack([decision, statistics]) @ self.weights + self.intercept
        return logit


def stacked(train: Vectors, statistics: int, decided: LeftOut) -> Evidence:
    """What the decision and the last `statistics` columns weigh, found on the plain views of `train`.

    `decided` fits and asks the machine on all views of some groups. Where a class has one group there is none to leave
    out: then images are, so that p is surer of unseen subjects than it should be. Raises SplitError for a class of one
    image.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    from leukoscope.stats.calibration import logistic

    images, views, columns = train.features.shape
    left_out = train.groups if _fewest(train.labels, train.groups) > 1 else np.arange(images)
    fewest = _fewest(train.labels, left_out)
    if fewest < 2:
        raise SplitError(
            "a kernel head needs two images of each class to train on, and has one of one class: lower split.folds, "
            "add images, or take another head"
        )
    rows = np.arange(images * views).reshape(images, views)  # as `by_view` orders them
    decision = np.empty(images)
    parts = StratifiedGroupKFold(min(PARTS, fewest))
    for known, left in parts.split(rows, train.labels, left_out):
        decision[left] = decided(rows[known].ravel(), rows[left, 0])
    weights, intercept = logistic(
        train.labels, np.column_stack([decision, train.features[:, 0, columns - statistics :]])
    )
    weights[0] = max(weights[0], SMALLEST_WEIGHT)
    return Evidence(weights, intercept)


def _fewest(labels: np.ndarray, groups: np.ndarray) -> int:
    """The groups of the class that has fewer."""
    return min(len(np.unique(groups[labels == label])) for label in (0, 1))
