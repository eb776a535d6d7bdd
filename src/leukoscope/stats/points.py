"""What a validation side decides, as values: read wherever cells are called, so nothing heavy is imported here."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict


class Calibration(BaseModel):
    """Platt's scaling: calibrated p = sigmoid(slope * logit(p) + intercept)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slope: float
    intercept: float


class OperatingPoint(BaseModel):
    """What a validation side of `n` images decides.

    A cell is called ALL where p > `threshold`, the smallest that keeps specificity `at_least`; `sensitivity` and
    `specificity` are those on the validation side itself. For p from `refer_low` to `refer_high`, the threshold's
    interval at `level` over groups, a person should look; both are None where `refer_reason` says why.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: str
    at_least: float
    threshold: float
    sensitivity: float
    specificity: float
    refer_low: float | None
    refer_high: float | None
    refer_reason: str | None
    level: float
    calibration: Calibration
    n: int

    @property
    def refer_band(self) -> tuple[float, float] | None:
        """`refer_low` and `refer_high`, where there are any."""
        return None if self.refer_low is None or self.refer_high is None else (self.refer_low, self.refer_high)


class Decided(NamedTuple):
    """The operating point of each fold, by its number, and that of all folds' validation sides together."""

    folds: dict[str, OperatingPoint]
    pooled: OperatingPoint
