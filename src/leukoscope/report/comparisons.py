"""Rows against rows under each protocol: reports/comparisons.json, and what the page shows of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from leukoscope.artifacts.metrics import Estimate
from leukoscope.config.rows import Protocol
from leukoscope.evaluation.comparison import accuracy_gap, compare_rows
from leukoscope.report.evidence import Evidence, Result
from leukoscope.report.paper_tables import PROPOSED_ROW, UNREGULARIZED_ROW

COMPARISONS_FILE = "comparisons.json"

Pair = Mapping[str, Any]


class AgainstBest(NamedTuple):
    """A row beside the best of its protocol: how far it lies below (a positive gap), and how sure that is.

    `pair` is None for the best row itself.
    """

    result: Result
    below: Estimate | None
    pair: Pair | None


class Claim(NamedTuple):
    """The L1 and L2 claim under one protocol: with less without, in accuracy and in AUROC."""

    protocol: Protocol
    accuracy: Mapping[str, Any]
    accuracy_gap: Estimate
    auroc_gap: Estimate
    p: float | None
    differs: list[str]
    marks: list[str]


def compared(evidence: Evidence) -> dict[Protocol, list[dict[str, Any]]]:
    """The content of comparisons.json: every pair of rows under each protocol, by `evaluation.comparison`.

    A pair has `marks`, by row, where values of one were tuned on tested groups.
    """
    predictions = _predictions(evidence)
    return {
        protocol: [
            _with_marks(evidence, protocol, pair)
            for pair in compare_rows(predictions[protocol], evidence.params.evaluate)
        ]
        for protocol in evidence.protocols
    }


def _with_marks(evidence: Evidence, protocol: Protocol, pair: dict[str, Any]) -> dict[str, Any]:
    marked = {row: words for row in (pair["a"], pair["b"]) if (words := evidence.results[row, protocol].mark)}
    return {**pair, "marks": marked} if marked else pair


def _predictions(evidence: Evidence) -> dict[Protocol, dict[str, Any]]:
    return {
        protocol: {row: result.test_predictions() for (row, of), result in evidence.results.items() if of == protocol}
        for protocol in evidence.protocols
    }


def _first_less_second(pairs: list[dict[str, Any]], first: str, second: str) -> tuple[Estimate, Pair]:
    """The gap of the pair in the wanted direction."""
    pair = next(pair for pair in pairs if {pair["a"], pair["b"]} == {first, second})
    gap = Estimate.of(pair, "gap")
    if pair["a"] != first and gap.value is not None:
        low, high = (None if bound is None else -bound for bound in (gap.high, gap.low))
        gap = Estimate(-gap.value, low, high, gap.reason)
    return gap, pair


def against_best(evidence: Evidence, pairs: list[dict[str, Any]], protocol: Protocol) -> list[AgainstBest]:
    """The rows of a protocol, best AUROC first, each beside the best."""
    results = [result for (_, of), result in evidence.results.items() if of == protocol]
    ordered = sorted(results, key=lambda result: -(result.estimate("auroc").value or 0))
    best = ordered[0]
    rest = ((result, *_first_less_second(pairs, best.row, result.row)) for result in ordered[1:])
    return [AgainstBest(best, None, None), *(AgainstBest(*row) for row in rest)]


def regularizer_claims(evidence: Evidence, pairs: Mapping[Protocol, list[dict[str, Any]]]) -> list[Claim]:
    """The study's claim that L1 and L2 lift accuracy, under each protocol; empty unless both rows were run."""
    rows = (PROPOSED_ROW, UNREGULARIZED_ROW)
    if not set(rows) <= set(evidence.params.models):
        return []
    claims = []
    for protocol in evidence.protocols:
        results = [evidence.results[row, protocol] for row in rows]
        predictions = {result.row: result.test_predictions() for result in results}
        accuracy = accuracy_gap(predictions, evidence.params.evaluate)
        auroc, pair = _first_less_second(pairs[protocol], *rows)
        differs = list(dict.fromkeys(reason for result in results for reason in result.differs))
        marked = [f"{result.row} {result.mark}" for result in results if result.mark]
        claims.append(Claim(protocol, accuracy, Estimate.of(accuracy, "gap"), auroc, pair["p"], differs, marked))
    return claims
