"""The mark of values that were tuned on groups which a protocol tests on: figures under it are too good.

`leukoscope tune --apply` writes into a row which study its values come from. decision.json keeps that as `tuned`, with
`tested_groups`: how many groups of the protocol's test side the study saw, None where that cannot be told. An ensemble
keeps it with each of its `members`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TESTED = "tuned on tested groups"
UNKNOWN = "tuned on other data or another split"  # which may well hold tested groups


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
