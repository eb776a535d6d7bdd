"""What must stand above every number where it holds: of drawn cells, of weights, of values tuned on tested groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

TESTED = "tuned on tested groups"
UNKNOWN = "tuned on other data or another split"  # which may well hold tested groups
RESEARCH_USE = "research use only"  # in a few words, where nothing worse holds
RESEARCH_ONLY = f"{RESEARCH_USE.capitalize()}; not a diagnostic device."
WHY_MARKED = {
    TESTED: "these rows' values were chosen on groups that the protocol tests on, so their figures are too good",
    UNKNOWN: "the study that chose these rows' values may have seen groups that the protocol tests on",
}

Marks = Mapping[str, Mapping[str, str]]
"""The mark of each marked row under each protocol where it has one, by row and then by protocol."""


def joined(*words: str) -> str:
    """Those words that say anything, with commas between."""
    return ", ".join(filter(None, words))


def why_not_real(data_kind: str, weights_kind: str) -> str:
    """Why a model is not for real cells: these are synthetic, or weights untrained; empty otherwise.

    An ensemble's `weights_kind` names all that its members have.
    """
    return joined(
        "synthetic cells" if data_kind == "synthetic" else "",
        "untrained backbone" if "untrained" in weights_kind else "",
    )


def too_good(mark: str) -> str:
    """What a model's `mark` means for its figures; empty without one."""
    return f"{mark}: its figures are too good" if mark else ""


def not_for_real(reasons: str) -> str:
    """That a model is not for real cells, after the `reasons` for it; empty without any."""
    return f"{reasons}: not for real cells" if reasons else ""


def caution_of(mark: str, not_real: str) -> str:
    """Why answers are worth less than they look, or else "research use only", in a few words."""
    return "; ".join(filter(None, (too_good(mark), not_for_real(not_real) or RESEARCH_USE)))


class Caution(NamedTuple):
    """A loud word and the sentence that explains it."""

    word: str
    sentence: str


def gap_mark(of_row: Mapping[str, str]) -> str:
    """The mark of a row's leakage gap, which rests on its figures under `subject` and `image`."""
    return of_row.get("subject") or of_row.get("image") or ""


def cautions(kind: str, weights: Mapping[str, str], marked: Marks) -> list[Caution]:
    """The cautions for a data set's `kind` (synthetic or real), each row's kind of `weights`, and what is `marked`.

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
    return raised + _cautions_of_marks(marked)


def _cautions_of_marks(marked: Marks) -> list[Caution]:
    raised = []
    for words, why in WHY_MARKED.items():
        of = {row: [name for name, said in protocols.items() if said == words] for row, protocols in marked.items()}
        where = "; ".join(f"{row} under {', '.join(protocols)}" for row, protocols in of.items() if protocols)
        if where:
            raised.append(Caution(words.upper(), f"{where}: {why}, and cannot be promoted."))
    return raised


def _backbones(rows: Sequence[str], all_rows: Mapping[str, str], one: str, many: str) -> str:
    if any(", " in all_rows[row] for row in rows):  # of more than one kind
        return f"At least one backbone of {', '.join(rows)} {one}"
    if set(rows) == set(all_rows):
        return f"Every backbone {one}"
    return f"The backbone{'s' * (len(rows) > 1)} of {', '.join(rows)} {many if len(rows) > 1 else one}"
