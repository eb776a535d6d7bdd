"""A registered version, ready to score: its model, what its validation decided, and the cells it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leukoscope.models.scoring import Scorer
from leukoscope.prediction.training_cells import TrainingCells


@dataclass(frozen=True)
class Champion:
    """A registered model, its decision.json, its number, and its training cells.

    `training` is None for versions that were registered before they carried it: what it would say is not known.
    """

    model: Scorer
    decision: dict[str, Any]
    version: str
    training: TrainingCells | None = None

    @property
    def frame(self) -> int:
        """The side, in pixels at native scale, of the centre of a picture that the model sees."""
        return int(self.decision["settings"]["frame"])

    @property
    def threshold(self) -> float:
        """A cell is called ALL where p exceeds it."""
        return float(self.decision["pooled"]["threshold"])

    @property
    def refer_band(self) -> tuple[float, float] | None:
        """The interval of the threshold over groups of subjects: inside it a person should look. None: not known."""
        point = self.decision["pooled"]
        low, high = point.get("refer_low"), point.get("refer_high")
        return None if low is None or high is None else (float(low), float(high))
