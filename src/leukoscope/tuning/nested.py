"""What tuning gains on groups that no trial saw: a study inside each fold of the protocol, judged on its test side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pandas as pd

from leukoscope.config.params import Params
from leukoscope.core import checkout
from leukoscope.core.files import write_json
from leukoscope.data.splits import read_split
from leukoscope.evaluation.comparison import paired_auroc_gap
from leukoscope.stats.metrics import plain
from leukoscope.training.inputs import DATA_COLUMNS
from leukoscope.tuning.bench import Bench
from leukoscope.tuning.gain import Gain, gain_of
from leukoscope.tuning.space import Values

NESTED_FILE = "nested.json"


def nested_gain(params: Params, name: str, run_study: Callable[[Bench], optuna.Study], folder: Path) -> dict[str, Any]:
    """Write and return nested.json: the pooled test AUROC of tuned values less that of the paper's, paired by group.

    `run_study` runs the study on a bench. `winner` takes every study's best trial; `rule` keeps the paper's values
    where the gain does not exceed one standard error, as `--apply` does. Each has auroc_a (tuned), auroc_b (the
    paper's), gap, gap_low and gap_high. `folds` tells what each study found.
    """
    images = pd.read_parquet(checkout.IMAGES, columns=DATA_COLUMNS)
    split = read_split(checkout.SPLITS, images, params.tune.protocol)
    tables, found = [], {}
    for fold in sorted(split["fold"].unique().tolist()):
        study = run_study(Bench.of(params, name, fold))
        gain = gain_of(study, params.tune.folds)
        tables.append(_tested(Bench.outside(params, name, fold), gain))
        found[str(fold)] = {
            "study": study.study_name,
            "winner": gain.winner,
            "gain_inside": gain.gain,
            "standard_error": gain.standard_error,
            "convinces": gain.convinces,
        }
    tested = pd.concat(tables, ignore_index=True)
    report = {
        "row": name,
        "protocol": params.tune.protocol,
        "paper": gain.paper,
        "folds": found,
        "n": len(tested),
        "n_groups": int(tested["group"].nunique()),
        **{
            which: paired_auroc_gap(
                tested["label"].to_numpy(int),
                tested[which].to_numpy(float),
                tested["paper"].to_numpy(float),
                tested["group"],
                params.evaluate,
            )
            for which in ("winner", "rule")
        },
    }
    write_json(folder / NESTED_FILE, plain(report))
    return report


def _tested(bench: Bench, gain: Gain) -> pd.DataFrame:
    """Labels, groups and p(ALL) of a fold's test side under the paper's values, the winner's and those of the rule."""
    paper, winner = (_test_side(bench, values) for values in (gain.paper, gain.winner))
    return paper.rename(columns={"p_all": "paper"}).assign(
        winner=winner["p_all"], rule=winner["p_all"] if gain.convinces else paper["p_all"]
    )


def _test_side(bench: Bench, values: Values) -> pd.DataFrame:
    (at, label, p_all), *_ = bench.predicted(values, bench.folds, "test")
    return pd.DataFrame({"label": label, "group": bench.images["group"].to_numpy()[at], "p_all": p_all})
