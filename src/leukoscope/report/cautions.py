"""What must stand above every number where it holds: that the cells are drawn, or that weights are not ImageNet's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

RESEARCH_ONLY = "Research use only; not a diagnostic device."


class Caution(NamedTuple):
    """A loud word and the sentence that explains it."""

    word: str
    sentence: str


def cautions(kind: str, weights: Mapping[str, str]) -> list[Caution]:
    """The cautions for a data set's `kind` (synthetic or real) and each row's kind of `weights`, as decision.json says.

    An ensemble's kind names all that its members have.
    """
    raised = []
    if kind == "synthetic":
        sentence = "These cells were drawn by a program: no number here says anything about leukemia or C-NMC 2019."
        raised.append(Caution("SYNTHETIC CELLS", sentence))
    if untrained := [row for row, of in weights.items() if "untrained" in of]:
        which = _backbones(untrained, weights, "has", "have")
        sentence = f"{which} random weights: only the head has learned. Set weights: imagenet for the study's models."
        raised.append(Caution("UNTRAINED WEIGHTS", sentence))
    if of_files := [row for row, of in weights.items() if "file" in of]:
        which = _backbones(of_files, weights, "starts", "start")
        sentence = f"{which} from a file: nothing here says whether its weights are ImageNet's, as the study's were."
        raised.append(Caution("WEIGHTS FROM A FILE", sentence))
    return raised


def _backbones(rows: Sequence[str], all_rows: Mapping[str, str], one: str, many: str) -> str:
    if set(rows) == set(all_rows):
        return f"Every backbone {one}"
    return f"The backbone{'s' * (len(rows) > 1)} of {', '.join(rows)} {many if len(rows) > 1 else one}"
