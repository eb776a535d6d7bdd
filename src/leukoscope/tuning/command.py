"""`leukoscope tune`: studies of rows, row after row with all workers on each, and what becomes of the winners."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from leukoscope.config.params import Params
from leukoscope.tuning.bench import Bench
from leukoscope.tuning.figures import draw_study
from leukoscope.tuning.gain import gain_of
from leukoscope.tuning.launch import Start, run_study, start_here
from leukoscope.tuning.trials import Tally

REPORTS = Path("reports", "tuning")


def tune(
    params: Params,
    row: str,
    total: int,
    workers: int | None,
    say: Callable[[str], None],
    *,
    another: bool = False,
    apply: bool = False,
    nested: bool = False,
    start: Start = start_here,
) -> None:
    """Run the study of one row, draw it, and say what it found. The last line counts its trials.

    `start` starts so many `workers`, or as many as there is room for. With `nested` there is a study inside every fold
    of the protocol; with `apply` the winner goes into params.yaml.
    """
    run = partial(run_study, total=total, workers=workers, another=another, start=start)
    bench = Bench.of(params, row, params.tune.fold)
    study = run(bench)
    folder = REPORTS / row
    if draw_study(study, folder / "figures"):
        from leukoscope.tuning.runs import mirror

        mirror(study, folder / "figures")
        say(f"figures: {folder / 'figures'}")
    if nested:
        from leukoscope.tuning.nested import in_words, nested_gain

        say(in_words(nested_gain(params, row, run, folder)))
    gain = gain_of(study, params.tune.folds)
    if apply:
        from leukoscope.tuning.applying import apply_winner

        say(apply_winner(bench, study.study_name, gain))
    else:
        say(f"{gain}; --apply writes a winner into params.yaml where its gain exceeds that")
    say(str(Tally.of(study)))
