"""The axis of the drawn AUROCs."""

from __future__ import annotations

from leukoscope.report.evidence import Evidence


class Scale:
    """Places on the AUROC axis, in percent of its width."""

    def __init__(self, evidence: Evidence) -> None:
        lows = [low for result in evidence.results.values() if (low := result.estimate("auroc").low) is not None]
        lows += [bar for of in evidence.baselines.values() if (bar := of["cell_area"]["auroc_low"]) is not None]
        self.start = min([0.5, *(int(low * 10) / 10 for low in lows)])

    def place(self, auroc: float) -> float:
        """Where a value stands; values below the axis's start stand at its start."""
        return round(max(0.0, 100 * (auroc - self.start) / (1 - self.start)), 2)

    def ticks(self) -> list[float]:
        """The axis's round values."""
        return [tenth / 10 for tenth in range(round(self.start * 10), 11)]
