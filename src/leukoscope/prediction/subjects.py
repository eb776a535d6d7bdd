"""Scores summed up by subject, where names carry one: how many of its cells are called ALL. It is no diagnosis."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

from leukoscope.artifacts.training_cells import UNSEEN
from leukoscope.prediction.scoring import Score

NOT_A_DIAGNOSIS = (
    "No diagnosis: all cells of one subject share a class in the training data, so shares are not validated on mixed "
    "smears. Intervals are of the subject's own cells, as if independent."
)
LEVEL = 0.95


@dataclass(frozen=True)
class SubjectSummary:
    """One subject: its `cells`, those `called` (no flags), those of them called ALL, and those to `refer`.

    `share_all` is called_all / called with Wilson's interval `low` to `high` at LEVEL; None where nothing was called.
    `refer` is None for a version without a refer band, `seen` counts pictures of the training set.
    """

    subject: str
    cells: int
    called: int
    called_all: int
    share_all: float | None
    low: float | None
    high: float | None
    refer: int | None
    seen: int


def by_subject(scores: Iterable[Score]) -> list[SubjectSummary]:
    """A summary of each subject that names carry, in the order in which they come; scores without one are left out."""
    of: dict[str, list[Score]] = {}
    for score in scores:
        if score.subject is not None:
            of.setdefault(score.subject, []).append(score)
    return [_summary(subject, cells) for subject, cells in of.items()]


def _summary(subject: str, cells: list[Score]) -> SubjectSummary:
    called = [score for score in cells if score.call]
    called_all = sum(score.call == "ALL" for score in called)
    low, high = wilson(called_all, len(called), LEVEL) if called else (None, None)
    return SubjectSummary(
        subject=subject,
        cells=len(cells),
        called=len(called),
        called_all=called_all,
        share_all=called_all / len(called) if called else None,
        low=low,
        high=high,
        refer=None if any(score.refer is None for score in called) else sum(bool(score.refer) for score in called),
        seen=sum(score.seen != UNSEEN for score in cells),
    )


def wilson(successes: int, n: int, level: float) -> tuple[float, float]:
    """Wilson's interval of a share (1927), as scipy's binomtest has it, whose import would take a second."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(middle - reach, 0.0), min(middle + reach, 1.0)
