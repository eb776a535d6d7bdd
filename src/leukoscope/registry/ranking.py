"""Candidates for promotion: rows and ensembles under one protocol, best first, over one data set and one split."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leukoscope.artifacts.decision import DECISION_FILE
from leukoscope.artifacts.metrics import METRICS_FILE
from leukoscope.config.rows import Protocol
from leukoscope.core.errors import RegistryError
from leukoscope.evaluation.checks import refuse_different_images

OUT_OF_FOLD = ("subject", "image")


@dataclass(frozen=True)
class Candidate:
    """A row or an ensemble with its decision.json and metrics.json, and the folders that these are in."""

    decision: dict[str, Any]
    metrics: dict[str, Any]
    models: Path
    results: Path

    @property
    def row(self) -> str:
        """The row's or the ensemble's name in params.yaml."""
        return str(self.decision["row"])

    @property
    def side(self) -> str:
        """The side that ranks: out-of-fold predictions where there are folds, else val. A real test set never does."""
        folds = len(self.decision["folds"])
        return "test" if self.decision["protocol"] in OUT_OF_FOLD and folds > 1 else "val"

    @property
    def measured(self) -> dict[str, Any]:
        """What metrics.json says of the ranking side."""
        side: dict[str, Any] = self.metrics[self.side]
        return side

    @property
    def auroc(self) -> float | None:
        """AUROC on the ranking side; None where it has one class."""
        value: float | None = self.measured["auroc"]
        return value

    @property
    def sensitivity(self) -> float | None:
        """Sensitivity on the ranking side at the thresholds that were chosen on val."""
        value: float | None = self.measured["at_threshold"]["sensitivity"]
        return value


def rank(results: Path, models: Path, names: Sequence[str], protocol: Protocol) -> list[Candidate]:
    """Rows and ensembles under `protocol`, highest AUROC on the ranking side first; ties keep the order of `names`.

    Raises RegistryError where one has no result or lacks the numbers that rank, or where two were not over the same
    images and split.
    """
    candidates = [_candidate(results, models, name, protocol) for name in names]
    refuse_different_images({str(candidate.models): candidate.decision for candidate in candidates}, "ranked")
    return sorted(candidates, key=lambda candidate: -1.0 if candidate.auroc is None else candidate.auroc, reverse=True)


def _candidate(results: Path, models: Path, row: str, protocol: Protocol) -> Candidate:
    name = f"{row}-{protocol}"
    candidate = Candidate(
        decision=_read(models / name / DECISION_FILE),
        metrics=_read(results / name / METRICS_FILE),
        models=models / name,
        results=results / name,
    )
    try:
        _ = candidate.auroc, candidate.sensitivity, candidate.measured["n"]
    except KeyError as error:
        raise RegistryError(
            f"{results / name / METRICS_FILE} says nothing of {error.args[0]}, which ranks: run uv run dvc repro"
        ) from None
    return candidate


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise RegistryError(f"{path} is not there: run uv run dvc repro") from None
    return content
