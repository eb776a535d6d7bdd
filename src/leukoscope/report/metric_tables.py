"""Every other number of metrics.json's test side, with its interval: which tables show it, and under which heading."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from leukoscope.artifacts.metrics import Estimate
from leukoscope.report.evidence import Measured, Result
from leukoscope.report.probabilities import Reading, readings
from leukoscope.stats.metrics import CALL_METRICS

OVER_AREA = "over area"
Read = Callable[[Measured], Estimate]


class Column(NamedTuple):
    """A column: its heading, how a result's number is found, and whether its sign is shown.

    `bar` is what calling every cell the same has in its place: a key of `no_skill`, or auroc.
    """

    heading: str
    read: Read
    signed: bool = False
    bar: str | None = None


class MetricTable(NamedTuple):
    """A table: its title, a sentence on what it says, its columns, and whether they need p to be a probability.

    `readings` is what is said of each row under it, where that is anything.
    """

    title: str
    sentence: str
    columns: list[Column]
    of_probability: bool
    readings: Callable[[Result], list[Reading]] | None = None


def _test(name: str) -> Read:
    return lambda result: result.estimate(name)


def _calls(name: str) -> Read:
    return lambda result: result.at_threshold(name)


def _sensitivity(specificity: str) -> Read:
    return lambda result: result.test.sensitivity_at(specificity)


def _calibration(stage: str, name: str) -> Read:
    return lambda result: result.test.calibration(stage, name)


def _before_and_after(heading: str, name: str, *, signed: bool = False) -> list[Column]:
    return [
        Column(heading, _calibration("raw", name), signed),
        Column(f"{heading}, scaled", _calibration("scaled", name), signed),
    ]


def _of_calls(read: Callable[[str], Read]) -> list[Column]:
    return [Column(name.replace("_", " ").replace("f1", "F1"), read(name), bar=name) for name in CALL_METRICS]


TABLES = (
    MetricTable(
        "Table IV, at p > 0.5",
        "ALL is the positive class, so recall is sensitivity. Weighted F1 is the challenge's measure.",
        _of_calls(_test),
        of_probability=True,
    ),
    MetricTable(
        "Table IV, at the threshold chosen on validation",
        "Each fold's own threshold: the smallest that keeps the wanted specificity on its validation side.",
        _of_calls(_calls),
        of_probability=False,
    ),
    MetricTable(
        "Ranking",
        "AUROC over all test images, as the mean over folds, and with every group weighing 1. Over area: AUROC less "
        "that of cell area alone, paired. Sensitivity at a specificity is read off the test images' own ROC curve.",
        [
            Column("AUROC", _test("auroc"), bar="auroc"),
            Column("mean of folds", _test("auroc_fold_mean")),
            Column("by group", _test("auroc_by_group")),
            Column(OVER_AREA, lambda result: result.over_area, signed=True),
            Column("AUPRC", _test("auprc")),
            Column("sensitivity at specificity 0.90", _sensitivity("0.90")),
            Column("at 0.95", _sensitivity("0.95")),
        ],
        of_probability=False,
    ),
    MetricTable(
        "Probabilities, before and after a two-parameter scaling fitted on validation",
        "Brier skill is the share of a prevalence-only forecast's Brier score that p takes away; 0 is no better. A "
        "calibrated p has slope 1 and intercept 0; below slope 1 it is too sure of itself. The calibration error (ECE) "
        "is over 15 bins of equally many images.",
        [
            *_before_and_after("ECE", "ece"),
            Column("Brier", _test("brier")),
            Column("Brier, scaled", _calibration("scaled", "brier")),
            Column("Brier skill", _test("brier_skill"), signed=True),
            *_before_and_after("slope", "slope"),
            *_before_and_after("intercept", "intercept", signed=True),
        ],
        of_probability=True,
        readings=readings,
    ),
)
