"""What must stand above every number where it holds: that the cells are drawn, or that a backbone knows nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

RESEARCH_ONLY = "Research use only; not a diagnostic device."


class Caution(NamedTuple):
    """A loud word and the sentence that explains it."""

    word: str
    sentence: str


def cautions(kind: str, untrained: Sequence[str], rows: Sequence[str]) -> list[Caution]:
    """The cautions for a data set's `kind` (synthetic or real) and the rows whose backbone is untrained."""
    raised = []
    if kind == "synthetic":
        sentence = "These cells were drawn by a program: no number here says anything about leukemia or C-NMC 2019."
        raised.append(Caution("SYNTHETIC CELLS", sentence))
    if untrained:
        which = "Every backbone has" if set(untrained) == set(rows) else f"The backbones of {', '.join(untrained)} have"
        sentence = f"{which} random weights: only the head has learned. Set weights: imagenet for the study's models."
        raised.append(Caution("UNTRAINED WEIGHTS", sentence))
    return raised
