"""What must stand beside a version's answers: what it was trained on, what it is not for, what is not known of it."""

from __future__ import annotations

from leukoscope.artifacts.decision import Decision
from leukoscope.artifacts.training_cells import TrainingCells, flagged_in_words
from leukoscope.core.cautions import caution_of
from leukoscope.registry.champion import Version

NOT_KNOWN = "not known for this version"


def trained_on(champion: Version) -> str:
    """The data that the version was trained on: cnmc (real images)."""
    data = champion.decision.data
    return f"{data.name} ({data.kind} images)"


def caution(champion: Version) -> str:
    """Why its answers are worth less than they look, or else "research use only", in a few words for a table."""
    return caution_of(champion.decision.mark, champion.decision.not_real)


def warning(champion: Version) -> str:
    """What anyone who reads its answers must know, in one line."""
    return f"model: {named(champion.decision, champion.version)}; {caution(champion)}"


def named(decision: Decision, version: str) -> str:
    """A version by its row, its number and its data, in words."""
    data = decision.data
    return f"{decision.row}, version {version}, trained on '{data.name}' ({data.kind} images)"


def calling(champion: Version) -> str:
    """How it calls cells: its threshold and refer band, in one line."""
    point, band = champion.decision.pooled, champion.refer_band
    if band:
        level = f"{100 * point.level:g} % interval"
        refer = f"refer from {band[0]:.4f} to {band[1]:.4f}, the threshold's {level} over groups of subjects"
    else:
        refer = f"refer band {point.refer_reason or NOT_KNOWN}"
    return f"ALL is called where p > {champion.threshold:.4f}; {refer}"


def flagging(champion: Version) -> str:
    """What lies outside its training range, and how often that flags cells of unseen subjects, in one line."""
    return range_in_words(champion.training)


def range_in_words(training: TrainingCells | None) -> str:
    """The same of a version's training cells, None where it does not know them."""
    if training is None:
        return f"training range of size and colour: {NOT_KNOWN}, so nothing is flagged as outside it"
    return f"training range: {flagged_in_words(training.range, training.unseen)}"
