"""Scores by subject: counts, and the share called ALL with its interval."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from leukoscope.prediction.scoring import Score
from leukoscope.prediction.subjects import by_subject, wilson


def score(subject: str | None, call: str | None, *, refer: bool | None = False, seen: str = "no") -> Score:
    flags = () if call else ("size",)
    return Score("a.png", subject, 0.5, call, flags, "1", refer if call else None, seen)  # type: ignore[arg-type]


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (3, 7), (50, 50), (120, 400)])
def test_the_interval_is_wilson_s_as_scipy_has_it(successes: int, n: int) -> None:
    expected = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert wilson(successes, n, 0.95) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_shares_are_of_the_called_cells_alone() -> None:
    scores = [score("5", "ALL"), score("5", "ALL", refer=True), score("5", "hem"), score("5", None, seen="file")]
    (summary,) = by_subject(scores)
    assert (summary.cells, summary.called, summary.called_all, summary.refer, summary.seen) == (4, 3, 2, 1, 1)
    assert summary.share_all == pytest.approx(2 / 3)
    assert (summary.low, summary.high) == wilson(2, 3, 0.95)


def test_a_subject_of_which_nothing_is_called_has_no_share() -> None:
    (summary,) = by_subject([score("5", None)])
    assert (summary.called, summary.share_all, summary.low, summary.high) == (0, None, None, None)


def test_subjects_come_in_their_order_and_names_without_one_are_left_out() -> None:
    summaries = by_subject([score("H6", "hem"), score(None, "ALL"), score("5", "ALL"), score("H6", "hem")])
    assert [(summary.subject, summary.cells) for summary in summaries] == [("H6", 2), ("5", 1)]


def test_without_a_refer_band_none_is_counted() -> None:
    (summary,) = by_subject([score("5", "ALL", refer=None)])
    assert summary.refer is None
