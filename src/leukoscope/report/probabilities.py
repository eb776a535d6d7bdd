"""Whether a row's p may be read as a probability: by the intervals of its calibration's slope and intercept."""

from __future__ import annotations

from typing import NamedTuple

from leukoscope.artifacts.metrics import Estimate
from leukoscope.report.evidence import Result

STAGES = {"raw": "as it is", "scaled": "scaled"}


class Reading(NamedTuple):
    """How p stands at one stage, as it is or scaled: its slope (1 where calibrated), intercept (0), and mean error.

    `faults` says what the intervals show to be wrong, `unknown` why they cannot show it.
    """

    stage: str
    slope: Estimate
    intercept: Estimate
    error: Estimate
    faults: list[str]
    unknown: str | None

    @property
    def is_probability(self) -> bool:
        """Whether nothing speaks against reading p as one."""
        return not self.faults and not self.unknown


def readings(result: Result) -> list[Reading]:
    """Of p as it is and scaled, on the test images."""
    return [_reading(result, stage, words) for stage, words in STAGES.items()]


def _reading(result: Result, stage: str, words: str) -> Reading:
    slope, intercept, error = (result.test.calibration(stage, name) for name in ("slope", "intercept", "ece"))
    faults = []
    if slope.low is not None and slope.high is not None:
        faults += ["too sure of itself"] * (slope.high < 1) + ["not sure enough"] * (slope.low > 1)
    if intercept.low is not None and intercept.high is not None:
        faults += ["too low"] * (intercept.low > 0) + ["too high"] * (intercept.high < 0)
    lacking = [f"its {name} has no interval" for name, of in (("slope", slope), ("intercept", intercept)) if of.reason]
    return Reading(words, slope, intercept, error, faults, " and ".join(lacking) or None)
