"""Rows against rows: comparisons.json, the order against the best, and the claim about L1 and L2."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from leukoscope.config.params import Params
from leukoscope.evaluation.comparison import compare_rows
from leukoscope.report.comparisons import against_best, compared, regularizer_claims
from leukoscope.report.evidence import Evidence, read_evidence
from leukoscope.report.paper_tables import PROPOSED_ROW, UNREGULARIZED_ROW
from tests.fixtures.trained_rows import tuned_by_study
from tests.report.conftest import build_checkout, make_images, make_params


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Three rows, the better named last, under both kinds of protocol."""
    rows = {"modified_mobilenet": "mobilenetv2", UNREGULARIZED_ROW: "efficientnetb3", PROPOSED_ROW: "efficientnetb3"}
    models = {row: {"backbone": backbone} for row, backbone in rows.items()}
    params = make_params(models=models, protocols=["subject", "paper"])
    return read_evidence(params, build_checkout(tmp_path_factory.mktemp("three"), params, make_images()))


def test_comparisons_json_has_every_pair_of_rows_under_each_protocol(reported: Path, ran: tuple[Path, Params]) -> None:
    content = json.loads((reported / "comparisons.json").read_text())
    evidence = read_evidence(ran[1], ran[0])
    assert list(content) == ["image", "subject"]
    for protocol in ("subject", "image"):
        rows = {row: evidence.results[row, protocol].test_predictions() for row in ran[1].models}
        assert content[protocol] == compare_rows(rows, ran[1].evaluate)


def test_rows_stand_in_the_order_of_their_auroc_and_lie_below_the_best_by_their_own_difference(
    three: Evidence,
) -> None:
    pairs = compared(three)["subject"]
    ranked = against_best(three, pairs, "subject")
    areas = [entry.result.estimate("auroc").value for entry in ranked]
    assert areas == sorted(areas, reverse=True)
    assert ranked[0].below is None
    for entry in ranked[1:]:
        assert entry.below is not None
        assert entry.below.value == pytest.approx(areas[0] - entry.result.estimate("auroc").value, abs=1e-8)
        assert entry.below.low < entry.below.value < entry.below.high


def test_the_claim_is_the_regularised_row_less_the_other_whatever_their_order_in_params(three: Evidence) -> None:
    claims = regularizer_claims(three, compared(three))
    assert [claim.protocol for claim in claims] == ["subject", "paper"]
    for claim in claims:
        results = [three.results[row, claim.protocol] for row in (PROPOSED_ROW, UNREGULARIZED_ROW)]
        for name, gap in (("accuracy", claim.accuracy_gap), ("auroc", claim.auroc_gap)):
            with_them, without = (result.estimate(name).value for result in results)
            assert gap.value == pytest.approx(with_them - without, abs=1e-8)
        assert claim.auroc_gap.low <= claim.auroc_gap.value <= claim.auroc_gap.high
        assert "frozen backbone" in claim.differs


def test_the_claim_says_which_of_its_rows_was_tuned_on_tested_groups(three: Evidence) -> None:
    assert [claim.marks for claim in regularizer_claims(three, compared(three))] == [[], []]
    tuned = three.results[PROPOSED_ROW, "subject"]
    marked = dataclasses.replace(tuned, decision=tuned.decision.model_copy(update={"tuned": tuned_by_study(3)}))
    evidence = dataclasses.replace(three, results={**three.results, (PROPOSED_ROW, "subject"): marked})
    claims = regularizer_claims(evidence, compared(evidence))
    assert [claim.marks for claim in claims] == [[f"{PROPOSED_ROW} tuned on tested groups"], []]


def test_without_both_rows_there_is_no_claim(ran: tuple[Path, Params]) -> None:
    evidence = read_evidence(ran[1], ran[0])
    assert regularizer_claims(evidence, compared(evidence)) == []
