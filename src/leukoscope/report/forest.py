"""The axes of what is drawn with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable

from leukoscope.artifacts.metrics import Estimate
from leukoscope.report.evidence import Evidence


class Axis:
    """Places between two values, which are whole steps, in percent of the axis's width."""

    def __init__(self, start: float, end: float, step: float) -> None:
        self.first, self.last, self.step = round(start / step), round(end / step), step

    def place(self, value: float) -> float:
        """Where a value stands; values beyond an end of the axis stand at that end."""
        share = (value / self.step - self.first) / (self.last - self.first)
        return round(min(max(0.0, 100 * share), 100.0), 2)

    def ticks(self) -> list[float]:
        """The axis's round values."""
        return [round(tick * self.step, 6) for tick in range(self.first, self.last + 1)]


def auroc_axis(evidence: Evidence) -> Axis:
    """From 0.5, or below where an interval reaches there, to 1."""
    lows = [low for result in evidence.results.values() if (low := result.estimate("auroc").low) is not None]
    lows += [bar for of in evidence.baselines.values() if (bar := of["cell_area"]["auroc_low"]) is not None]
    return Axis(min([0.5, *(int(low * 10) / 10 for low in lows)]), 1.0, 0.1)


def axis_of(estimates: Iterable[Estimate]) -> Axis:
    """From 0, or below where an interval reaches there, as far as the last interval, in steps of a tenth or less."""
    known = [value for estimate in estimates for value in estimate[:3] if value is not None]
    low, high = min(0.0, *known), max(0.0, *known)
    step = next((step for step in (0.01, 0.02, 0.05) if high - low <= 6 * step), 0.1)
    return Axis(math.floor(low / step) * step, max(math.ceil(high / step), 1) * step, step)
