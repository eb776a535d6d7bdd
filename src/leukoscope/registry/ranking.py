"""Candidates for promotion: rows and ensembles under one protocol, best first, over one data set and one split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leukoscope.artifacts.decision import Decision
from leukoscope.artifacts.metrics import METRICS_FILE, Metrics, Side
from leukoscope.config.rows import Protocol
from leukoscope.core import checkout
from leukoscope.core.errors import RegistryError
from leukoscope.evaluation.checks import refuse_different_images

OUT_OF_FOLD = ("subject", "image")


@dataclass(frozen=True)
class Candidate:
    """A row or an ensemble with its decision.json and metrics.json, and the folders that these are in."""

    decision: Decision
    metrics: Metrics
    models: Path
    results: Path

    @property
    def row(self) -> str:
        """The row's or the ensemble's name in params.yaml."""
        return self.decision.row

    @property
    def side(self) -> str:
        """The side that ranks: out-of-fold predictions where there are folds, else val. A real test set never does."""
        folds = len(self.decision.folds)
        return "test" if self.decision.protocol in OUT_OF_FOLD and folds > 1 else "val"

    @property
    def measured(self) -> Side:
        """What was measured on the ranking side."""
        return self.metrics.side(self.side)

    @property
    def auroc(self) -> float | None:
        """AUROC on the ranking side; None where it has one class."""
        return self.measured.estimate("auroc").value

    @property
    def sensitivity(self) -> float | None:
        """Sensitivity on the ranking side at the thresholds that were chosen on val."""
        return self.measured.at_threshold("sensitivity").value


def rank(names: Sequence[str], protocol: Protocol, below: Path = checkout.HERE) -> list[Candidate]:
    """Rows and ensembles of the checkout `below` under `protocol`, highest AUROC on the ranking side first.

    Ties keep the order of `names`. Raises DataError where one has no result, RegistryError where it lacks the numbers
    that rank, or where two were not over the same images and split.
    """
    candidates = [_candidate(name, protocol, below) for name in names]
    refuse_different_images({str(candidate.models): candidate.decision for candidate in candidates}, "ranked")
    return sorted(candidates, key=lambda candidate: -1.0 if candidate.auroc is None else candidate.auroc, reverse=True)


def _candidate(row: str, protocol: Protocol, below: Path) -> Candidate:
    folders = checkout.trained(row, protocol, below), checkout.results(row, protocol, below)
    candidate = Candidate(Decision.read(folders[0]), Metrics.read(folders[1]), *folders)
    try:
        _ = candidate.auroc, candidate.sensitivity, candidate.measured.n
    except KeyError as error:
        raise RegistryError(
            f"{folders[1] / METRICS_FILE} says nothing of {error.args[0]}, which ranks: run uv run dvc repro"
        ) from None
    return candidate
