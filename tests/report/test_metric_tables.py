"""Every measure of metrics.json on the page, and both baselines beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leukoscope.config import Params
from leukoscope.report.evidence import Evidence, read_evidence
from leukoscope.report.metric_tables import TABLES


@pytest.fixture(scope="module")
def evidence(ran: tuple[Path, Params]) -> Evidence:
    return read_evidence(ran[1], ran[0])


def test_every_number_with_an_interval_in_metrics_json_has_a_column(ran: tuple[Path, Params]) -> None:
    evidence = read_evidence(ran[1], ran[0])
    result = evidence.results["modified_mobilenet", "subject"]
    shown = {column.read(result).value for table in TABLES for column in table.columns}
    test = json.loads((ran[0] / "results/modified_mobilenet-subject/metrics.json").read_text())["test"]

    def with_interval(content: dict) -> set[float]:
        found = {value for name, value in content.items() if f"{name}_low" in content}
        nested = (with_interval(value) for value in content.values() if isinstance(value, dict))
        return found.union(*nested)

    points = {point["value"] for point in test["sensitivity_at_specificity"].values()}
    assert with_interval(test) | points <= shown


def test_cell_area_ranks_as_the_gate_says(evidence: Evidence) -> None:
    for protocol in evidence.protocols:
        bar, alone = evidence.baselines[protocol]["cell_area"], evidence.area_alone[protocol].test
        assert alone["auroc"] == pytest.approx(bar["auroc"])
        assert (alone["auroc_low"], alone["auroc_high"]) == pytest.approx((bar["auroc_low"], bar["auroc_high"]))
        assert alone["over_area"]["gap"] == pytest.approx(0, abs=1e-9)
        assert 0 < alone["at_threshold"]["specificity"] <= 1


def test_always_all_finds_every_all_cell_and_spares_no_other(evidence: Evidence) -> None:
    for protocol in evidence.protocols:
        bar = evidence.baselines[protocol]["no_skill"]
        assert bar["called"] == "ALL"
        assert (bar["recall"], bar["specificity"], bar["precision"]) == (1, 0, bar["accuracy"])
        classes = evidence.results["modified_mobilenet", protocol].test["classes"]
        n = {name: of["n"] for name, of in classes.items()}
        assert bar["accuracy"] == pytest.approx(n["ALL"] / (n["ALL"] + n["hem"]))


def test_a_row_that_is_not_shown_to_be_above_area_says_so(reported: Path, evidence: Evidence) -> None:
    html = (reported / "index.html").read_text()
    explained = 2  # where the words are explained
    wanted = sum(result.not_above_area for result in evidence.results.values()) * 2  # compared, and every measure
    wanted += sum(evidence.results[row, "subject"].not_above_area for row in evidence.params.models)  # Table V
    assert html.count(">not above cell area<") == wanted + explained
    for result in evidence.results.values():
        low = result.test["over_area"]["gap_low"]
        assert result.not_above_area == (low is None or low <= 0)
