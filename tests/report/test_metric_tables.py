"""Every measure of metrics.json on the page, and both baselines beside them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from leukoscope.artifacts.metrics import Metrics
from leukoscope.config.params import Params
from leukoscope.report.evidence import Evidence, read_evidence
from leukoscope.report.metric_tables import TABLES
from leukoscope.report.probabilities import Reading, readings


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
        bar, alone = evidence.baselines[protocol]["cell_area"], evidence.area_alone[protocol]
        auroc = alone.estimate("auroc")
        assert auroc.value == pytest.approx(bar["auroc"])
        assert (auroc.low, auroc.high) == pytest.approx((bar["auroc_low"], bar["auroc_high"]))
        assert alone.over_area.value == pytest.approx(0, abs=1e-9)
        assert 0 < alone.at_threshold("specificity").value <= 1


def test_always_all_finds_every_all_cell_and_spares_no_other(evidence: Evidence) -> None:
    for protocol in evidence.protocols:
        bar = evidence.baselines[protocol]["no_skill"]
        assert bar["called"] == "ALL"
        assert (bar["recall"], bar["specificity"], bar["precision"]) == (1, 0, bar["accuracy"])
        classes = evidence.results["modified_mobilenet", protocol].test.classes
        n = {name: of.n for name, of in classes.items()}
        assert bar["accuracy"] == pytest.approx(n["ALL"] / (n["ALL"] + n["hem"]))


def test_a_row_that_is_not_shown_to_be_above_area_says_so(reported: Path, evidence: Evidence) -> None:
    html = (reported / "index.html").read_text()
    explained = 2  # where the words are explained
    wanted = sum(result.not_above_area for result in evidence.results.values()) * 2  # compared, and every measure
    wanted += sum(evidence.results[row, "subject"].not_above_area for row in evidence.params.models)  # Table V
    assert html.count(">not above cell area<") == wanted + explained
    for result in evidence.results.values():
        low = result.test.content["over_area"]["gap_low"]
        assert result.not_above_area == (low is None or low <= 0)


def reading_of(evidence: Evidence, **bounds: tuple[float, float] | None) -> Reading:
    """What is said of p as it is where its slope and intercept have these intervals, None for none."""
    result = evidence.results["modified_mobilenet", "subject"]
    measured = result.test.content
    content = dict(measured["calibration"]["raw"])
    for name, (low, high) in ((name, of or (None, None)) for name, of in bounds.items()):
        content |= {name: 0.5, f"{name}_low": low, f"{name}_high": high}
    test = {**measured, "calibration": {**measured["calibration"], "raw": content}}
    return readings(replace(result, metrics=Metrics({**result.metrics.content, "test": test})))[0]


def test_p_is_read_as_a_probability_where_its_intervals_allow(evidence: Evidence) -> None:
    assert reading_of(evidence, slope=(0.8, 1.3), intercept=(-0.4, 0.2)).is_probability
    assert reading_of(evidence, slope=(0.4, 0.9), intercept=(0.1, 0.2)).faults == ["too sure of itself", "too low"]
    assert reading_of(evidence, slope=(1.2, 2.9), intercept=(-0.2, -0.1)).faults == ["not sure enough", "too high"]
    unknown = reading_of(evidence, slope=None, intercept=(-0.4, 0.2))
    assert (unknown.is_probability, unknown.faults, unknown.unknown) == (False, [], "its slope has no interval")
    assert not reading_of(evidence, slope=None, intercept=(0.1, 0.2)).is_probability


def test_every_row_is_told_whether_its_p_is_a_probability(reported: Path, evidence: Evidence) -> None:
    html = (reported / "index.html").read_text()
    for result in evidence.results.values():
        for of in readings(result):
            said = "yes" if of.is_probability else "no" if of.faults else "not known"
            assert f">{of.stage}, {said}</b>" in html
    assert html.count("May p be read as a probability?") == len(evidence.protocols)
    assert len(re.findall(r">(as it is|scaled), (yes|no|not known)</b>", html)) == 2 * len(evidence.results)
