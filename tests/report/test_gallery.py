"""The surest right and wrong calls of the best row, each as at its own fold's threshold."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from leukoscope.config.params import Params
from leukoscope.report.evidence import Evidence, Result, read_evidence
from leukoscope.report.gallery import SUBJECTS, gallery


@pytest.fixture(scope="module")
def evidence(ran: tuple[Path, Params]) -> Evidence:
    return read_evidence(ran[1], ran[0])


@pytest.fixture(scope="module")
def best(evidence: Evidence) -> Result:
    assert evidence.best_honest is not None
    return evidence.best_honest


def with_thresholds(result: Result) -> pd.DataFrame:
    rows = result.test_predictions()
    thresholds = {int(fold): point.threshold for fold, point in result.decision.folds.items()}
    return rows.assign(threshold=rows["fold"].map(thresholds))


def test_shown_are_the_calls_farthest_on_their_side_one_cell_a_subject(evidence: Evidence, best: Result) -> None:
    rows = with_thresholds(best)
    rows["called"] = (rows["p_all"] > rows["threshold"]).astype(int)
    found = gallery(evidence, best)
    assert [(of.name, of.right) for of in found] == [("ALL", True), ("ALL", False), ("hem", True), ("hem", False)]
    for of in found:
        label = int(of.name == "ALL")
        calls = rows[(rows["label"] == label) & ((rows["called"] == label) == of.right)]
        assert (of.n, of.of) == (len(calls), (rows["label"] == label).sum())
        towards_all = label == of.right
        surest = calls.groupby("subject")["p_all"].agg("max" if towards_all else "min")
        expected = surest.sort_values(ascending=not towards_all).head(SUBJECTS)
        assert [cell.subject for cell in of.surest] == expected.index.tolist()
        assert [cell.p_all for cell in of.surest] == expected.tolist()
        assert all((cell.p_all > cell.threshold) == towards_all for cell in of.surest)
        assert all((evidence.root / "data/raw/images" / cell.file).exists() for cell in of.surest)
    assert {of.n > 0 for of in found} == {True}


def test_a_row_without_a_mistake_has_none_to_show(ran: tuple[Path, Params], best: Result, tmp_path: Path) -> None:
    evidence = read_evidence(ran[1], ran[0])
    perfect = best.test_predictions().assign(side="test")
    perfect["p_all"] = 0.01 + 0.98 * perfect["label"]
    perfect.to_parquet(tmp_path / "predictions.parquet", index=False)
    found = gallery(evidence, Result(best.row, best.protocol, best.metrics, best.decision, best.timing, tmp_path))
    assert [(len(of.surest), of.n) for of in found if not of.right] == [(0, 0), (0, 0)]
    assert all(of.n == of.of for of in found if of.right)


def test_the_page_shows_each_cell_with_its_subject_p_and_threshold(
    reported: Path, evidence: Evidence, best: Result
) -> None:
    page = (reported / "index.html").read_text()
    assert '<a href="#gallery">' in page
    for of in gallery(evidence, best):
        for cell in of.surest:
            caption = f"subject {cell.subject}<br>p(ALL) {cell.p_all:.2f}<br>threshold {cell.threshold:.2f}"
            assert caption in page
            assert cell.uri in page
    (command,) = [line for line in page.splitlines() if "leukoscope explain" in line]
    assert "data/raw/images/" in command
