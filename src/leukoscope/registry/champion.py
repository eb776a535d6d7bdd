"""A registered version: what is known of it, and with its model, ready to score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from leukoscope.artifacts.decision import Decision
from leukoscope.artifacts.training_cells import TrainingCells


class Model(Protocol):
    """What scores framed pictures, on whichever engine (`registry.runtime`)."""

    def p_all(self, framed: Iterable[np.ndarray]) -> Iterator[float]:
        """p(ALL) of pictures uint8 [frame, frame, 3], in their order."""


@dataclass(frozen=True)
class Version:
    """All of a registered version but its model: its decision.json, its number, and its training cells.

    `training` is None for a version that was logged without it: what it would say is not known.
    """

    decision: Decision
    version: str
    training: TrainingCells | None = None

    @property
    def frame(self) -> int:
        """The side, in pixels at native scale, of the centre of a picture that the model sees."""
        return self.decision.frame

    @property
    def rotations(self) -> int:
        """How many turns of a picture the model averages over."""
        return self.decision.rotations

    @property
    def threshold(self) -> float:
        """A cell is called ALL where p exceeds it."""
        return self.decision.pooled.threshold

    @property
    def refer_band(self) -> tuple[float, float] | None:
        """The interval of the threshold over groups of subjects: inside it a person should look. None: not known."""
        return self.decision.pooled.refer_band

    def with_model(self, model: Model) -> Champion:
        """The same, ready to score."""
        return Champion(self.decision, self.version, self.training, model=model)


@dataclass(frozen=True)
class Champion(Version):
    """A registered version that is ready to score."""

    model: Model = field(kw_only=True)
