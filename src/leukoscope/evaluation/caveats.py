"""What stands beside a model's numbers, in a few words: what its cells, its weights and its values are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leukoscope.evaluation.tuned_groups import mark


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
