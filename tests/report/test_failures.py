"""Which subjects the best row fails on, and what sets them apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leukoscope.config.params import Params
from leukoscope.report.evidence import Evidence, Result, read_evidence
from leukoscope.report.failures import CELLS, SUBJECTS, failures, share_right, typical


@pytest.fixture(scope="module")
def evidence(ran: tuple[Path, Params]) -> Evidence:
    return read_evidence(ran[1], ran[0])


@pytest.fixture(scope="module")
def best(evidence: Evidence) -> Result:
    assert evidence.best_honest is not None
    return evidence.best_honest


def test_the_subjects_are_those_that_fail_most_surely(evidence: Evidence, best: Result) -> None:
    assert (best.row, best.protocol) == ("proposed_efficientnetb3", "subject")
    test = best.test_predictions()
    test["correct"] = (test["p_all"] > 0.5) == (test["label"] == 1)
    for of, label in zip(failures(evidence, best), (1, 0), strict=True):
        subjects = test[test["label"] == label].groupby("subject")["correct"]
        highs = {subject: share_right(correct, 0.95).high for subject, correct in subjects}
        worst = sorted(highs, key=lambda subject: (highs[subject], subject))[:SUBJECTS]
        assert [one.subject for one in of.failing] == worst
        assert of.subjects == len(highs)
        assert of.mostly_wrong == (subjects.mean() < 0.5).sum()
        for one in of.failing:
            own = test[test["subject"] == one.subject]
            assert (one.right.value, one.n) == (own["correct"].mean(), len(own))
            wrong = own.loc[~own["correct"], "p_all"].tolist()
            assert len(one.wrong) == min(CELLS, len(wrong))
            assert {cell.p_all for cell in one.wrong} <= set(wrong)
        assert len({cell.subject for cell in of.right}) == len(of.right) == CELLS
        assert all((cell.p_all > 0.5) == bool(label) for cell in of.right)


def test_a_subject_that_is_unlike_its_class_is_told_by_what(ran: tuple[Path, Params], best: Result) -> None:
    evidence = read_evidence(ran[1], ran[0])
    hem = failures(evidence, best)[1]
    subject = hem.failing[0].subject
    own = evidence.images["subject"] == subject
    evidence.images.loc[own, "cell_area"] += 40_000
    evidence.images.loc[own, "grain"] = np.float32(0.1)  # of all others alike: no spread to measure by
    (found,) = [one for one in failures(evidence, best)[1].failing if one.subject == subject]
    means = evidence.images[evidence.images["image_id"].isin(best.test_predictions()["image_id"])]
    means = means[means["label"] == 0].groupby("subject")["cell_area"].mean()
    others = means.drop(subject)
    assert found.apart["size"] == pytest.approx((means[subject] - others.mean()) / others.std())
    assert found.apart["grain"] is None
    assert "larger, as ALL cells are" in found.words


def test_few_cells_make_no_sure_failure() -> None:
    one_of_one, ten_of_forty = (
        share_right(pd.Series([False]), 0.95),
        share_right(pd.Series([True, False, False, False] * 10), 0.95),
    )
    assert (one_of_one.low, one_of_one.value) == (0, 0)
    assert one_of_one.high > ten_of_forty.high > ten_of_forty.value == 0.25


def test_typical_cells_lie_near_the_median_of_their_traits() -> None:
    cells = pd.DataFrame(
        {"size": [1.0, 5, 3, 100], "brightness": [2.0, 2, 2, 2], "red less blue": 0.0, "grain": [1.0, 3, 2, 2]}
    )
    assert typical(cells).index.tolist()[0] == 2
    assert typical(cells.head(1)).index.tolist() == [0]


def test_the_page_shows_them(reported: Path) -> None:
    page = (reported / "index.html").read_text()
    assert "Where the best row fails" in page
    assert '<a href="#failures">' in page
    assert page.count("Right, of different subjects") == 2
