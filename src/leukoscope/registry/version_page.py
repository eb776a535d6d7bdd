"""A version's page in the registry: what MLflow shows of it, and how its own server is asked."""

from __future__ import annotations

from leukoscope.artifacts.decision import Decision
from leukoscope.artifacts.training_cells import TrainingCells
from leukoscope.config.rows import ModelSettings
from leukoscope.core.cautions import RESEARCH_ONLY, not_for_real, too_good
from leukoscope.core.text import with_interval
from leukoscope.registry.notices import range_in_words
from leukoscope.registry.ranking import Candidate
from leukoscope.stats.points import OperatingPoint


def combination(decision: Decision) -> str:
    """How the folds' models, and an ensemble's members, become one."""
    folds, members = len(decision.folds), decision.members
    if members:
        return f"mean of the rows {', '.join(members)}" + (f", each the mean of {folds} folds" if folds > 1 else "")
    if folds == 1:
        return "one model"
    if decision.mode == "finetune":
        return f"mean of {folds} finetuned models"
    return f"mean of {folds} fold heads on {_backbones(decision.row_settings)}"


def _backbones(row: ModelSettings) -> str:
    if row.beside and row.beside.backbone == row.backbone and row.beside.shrink > 1:
        return "one backbone at two scales"
    return "two backbones" if row.beside else "one backbone"


def description(candidate: Candidate, training: TrainingCells | None = None) -> str:
    """The version's page in the registry, as Markdown."""
    decision, measured = candidate.decision, candidate.measured
    data, point = decision.data, decision.pooled
    level = f"{100 * measured.interval_level:g} % interval"
    warnings = [f"**{said}**" for said in (not_for_real(decision.not_real), too_good(decision.mark)) if said]
    paragraphs = [f"**{candidate.row}**, {combination(decision)}, under protocol `{decision.protocol}`", *warnings]
    lines = [
        f"- data: {data.name} ({data.kind} images), {measured.n} images of {measured.n_subjects} subjects",
        f"- {candidate.side} AUROC {with_interval(measured.estimate('auroc'))} ({level} over resampled groups)",
        f"- sensitivity {with_interval(measured.at_threshold('sensitivity'))} and specificity "
        f"{with_interval(measured.at_threshold('specificity'))} at each fold's own threshold",
        f"- ALL is called where p > {point.threshold:.4f}; refer band {_band(point)}",
        f"- {range_in_words(training)}",
        "- input: raw RGB pictures, uint8 [n, height, width, 3], native optics; output: p(ALL) [n, 1]",
        *served_input(decision.frame),
        "",
        "The figures are those of the folds' models on cells that each had not seen; what is served is their mean. "
        f"{RESEARCH_ONLY}",
    ]
    return "\n\n".join([*paragraphs, "\n".join(lines)])


def served_input(frame: int) -> list[str]:
    """How `mlflow models serve` is asked, and what it answers."""
    return [
        '- `mlflow models serve` takes them as JSON at /invocations: `{"inputs": [picture, ...]}`, each picture a list '
        "of rows of pixels of three whole numbers (0 to 255), all of one size",
        f"- the centre {frame} x {frame} pixels are enough, and give the same p",
        '- it answers `{"predictions": [[p(ALL)], ...]}`: no calls and no flags; `leukoscope predict` has them',
    ]


def _band(point: OperatingPoint) -> str:
    band = point.refer_band
    return f"{band[0]:.4f} to {band[1]:.4f}" if band else f"undefined ({point.refer_reason})"
