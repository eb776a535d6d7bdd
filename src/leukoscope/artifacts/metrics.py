"""Candidates for promotion: rows and ensembles under one protocol, best first, over one data set and one split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

METRICS_FILE = "metrics.json"


class Estimate(NamedTuple):
    """A number with its interval; `low` and `high` are None where `reason` says why there is no interval."""

    value: float | None
    low: float | None
    high: float | None
    reason: str | None

    @classmethod
    def of(cls, content: Mapping[str, Any], name: str, reason: str | None = None) -> Estimate:
        """From keys name, name_low and name_high as evaluation writes them."""
        value, low, high = (content[key] for key in (name, f"{name}_low", f"{name}_high"))
        if value is None:
            reason = content.get("undefined", {}).get(name, "not defined")
        elif low is None or high is None:
            reason = reason or content.get("interval_reason") or "not defined in every resample"
        else:
            reason = None
        return cls(value, low, high, reason)
