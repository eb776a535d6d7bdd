"""`leukoscope tune`: studies of rows, row after row with all workers on each, and what becomes of the winners."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from leukoscope.config.params import Params
from leukoscope.config.yaml_edit import Edit
from leukoscope.core import checkout
from leukoscope.tuning.bench import Bench
from leukoscope.tuning.figures import draw_study
from leukoscope.tuning.gain import Gain, gain_of
from leukoscope.tuning.launch import Start, run_study, start_here
from leukoscope.tuning.trials import Tally


@dataclass(frozen=True)
class Outcome:
    """What the study of a row found.

    `figures` is their folder, None where the trials are too few to draw. `nested` is the content of nested.json, where
    it was asked for. `edit` is that of params.yaml, None where the winner was not to be applied or does not convince.
    """

    row: str
    tally: Tally
    gain: Gain
    figures: Path | None
    nested: dict[str, Any] | None
    edit: Edit | None


def tune(
    params: Params,
    row: str,
    total: int,
    workers: int | None,
    *,
    another: bool = False,
    apply: bool = False,
    nested: bool = False,
    start: Start = start_here,
) -> Outcome:
    """Run the study of one row and draw it.

    `start` starts so many `workers`, or as many as there is room for. With `nested` there is a study inside every fold
    of the protocol; with `apply` the winner goes into params.yaml.
    """
    run = partial(run_study, total=total, workers=workers, another=another, start=start)
    bench = Bench.of(params, row, params.tune.fold)
    study = run(bench)
    folder = checkout.tuning(row)
    figures = nested_report = edit = None
    if draw_study(study, folder / "figures"):
        from leukoscope.tuning.runs import mirror

        figures = folder / "figures"
        mirror(study, figures)
    if nested:
        from leukoscope.tuning.nested import nested_gain

        nested_report = nested_gain(params, row, run, folder)
    gain = gain_of(study, params.tune.folds)
    if apply:
        from leukoscope.tuning.applying import apply_winner

        edit = apply_winner(bench, study.study_name, gain)
    return Outcome(row, Tally.of(study), gain, figures, nested_report, edit)
