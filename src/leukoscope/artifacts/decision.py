"""What stands beside a model's numbers, in a few words: what its cells, its weights and its values are not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leukoscope.core.cautions import TESTED, UNKNOWN, Marks
from leukoscope.core.errors import DataError

if TYPE_CHECKING:
    pass


def caveat(decision: Mapping[str, Any]) -> str:
    """What a figure must say of its numbers: `not_real`, and the mark of values tuned on tested groups."""
    return ", ".join(filter(None, (not_real(decision), mark(decision))))


def not_real(decision: Mapping[str, Any]) -> str:
    """Why a model is not for real cells: these are synthetic, or weights untrained; empty otherwise."""
    said = []
    if decision["data"]["kind"] == "synthetic":
        said.append("synthetic cells")
    if "untrained" in decision["weights_kind"]:  # an ensemble's names all that its members have
        said.append("untrained backbone")
    return ", ".join(said)


def tunings(decision: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """`tuned` of decision.json, and of each member of an ensemble, where values were tuned at all."""
    parts = decision["members"].values() if "members" in decision else [decision]
    return [part["tuned"] for part in parts if "tuned" in part]


def mark(decision: Mapping[str, Any]) -> str:
    """What must stand beside each number under the decision's protocol; empty where no study saw a tested group."""
    counted = [tuned["tested_groups"] for tuned in tunings(decision)]
    if any(counted):
        return TESTED
    return UNKNOWN if None in counted else ""


DECISION_FILE = "decision.json"


def read_decision(folder: Path) -> dict[str, Any]:
    """decision.json of a trained row. Raises DataError where there is none."""
    path = folder / DECISION_FILE
    if not path.exists():
        raise DataError(f"{path} is missing: run dvc repro")
    return json.loads(path.read_text())


def comparable(decision: Mapping[str, Any]) -> dict[str, str]:
    """What two models must share before one number may be set against another, by its name."""
    return {"data": decision["data"]["hash"], "protocols": decision["protocol"], "splits": decision["split_hash"]}


def marks(decisions: Iterable[Mapping[str, Any]]) -> Marks:
    """The marks of what decision.json of rows and ensembles under their protocols say."""
    found: dict[str, dict[str, str]] = {}
    for decision in decisions:
        if marked := mark(decision):
            found.setdefault(decision["row"], {})[decision["protocol"]] = marked
    return found
