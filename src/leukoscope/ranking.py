"""Candidates for promotion: the rows of params.yaml under one protocol, best first, over one data set and one split."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leukoscope.config import Protocol
from leukoscope.errors import RegistryError

DECISION_FILE = "decision.json"
METRICS_FILE = "metrics.json"
OUT_OF_FOLD = ("subject", "image")


@dataclass(frozen=True)
class Candidate:
    """A trained and evaluated row: its decision.json, its metrics.json, and the folder of its folds' models."""

    decision: dict[str, Any]
    metrics: dict[str, Any]
    models: Path

    @property
    def row(self) -> str:
        """The row's name in params.yaml."""
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

    @property
    def comparable(self) -> tuple[str, str, str]:
        """What two models must share before one number may be set against another: data, protocol and split."""
        return self.decision["data"]["hash"], self.decision["protocol"], self.decision["split_hash"]


def rank(results: Path, models: Path, rows: Sequence[str], protocol: Protocol) -> list[Candidate]:
    """The rows under `protocol`, highest AUROC on the ranking side first; ties keep the order of `rows`.

    Raises RegistryError where a row has no result, or where two rows were not over the same images and split.
    """
    candidates = [_candidate(results, models, row, protocol) for row in rows]
    first = candidates[0]
    for other in candidates[1:]:
        if other.comparable != first.comparable:
            what = "data" if other.comparable[0] != first.comparable[0] else "splits"
            raise RegistryError(
                f"{other.models} and {first.models} are over different {what}, so they cannot be ranked: "
                f"run uv run dvc repro"
            )
    return sorted(candidates, key=lambda candidate: -1.0 if candidate.auroc is None else candidate.auroc, reverse=True)


def _candidate(results: Path, models: Path, row: str, protocol: Protocol) -> Candidate:
    name = f"{row}-{protocol}"
    return Candidate(
        decision=_read(models / name / DECISION_FILE, f"train@{name}"),
        metrics=_read(results / name / METRICS_FILE, f"evaluate@{name}"),
        models=models / name,
    )


def _read(path: Path, stage: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise RegistryError(f"{path} is not there: run uv run dvc repro {stage}") from None
    return content
