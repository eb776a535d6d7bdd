"""results/<name>-<protocol>: what evaluation leaves of a row or an ensemble, for scripts, for DVC and for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from leukoscope.artifacts.decision import caveat, mark
from leukoscope.config.params import Evaluate
from leukoscope.core.files import new_folder, write_json
from leukoscope.evaluation.figures import Heading, write_figures
from leukoscope.evaluation.importance import IMPORTANCE_FOLDER, Exchanged, write_importance
from leukoscope.evaluation.results import summarise, write_tables


def write_result(
    folder: Path,
    decision: Mapping[str, Any],
    predictions: pd.DataFrame,
    images: pd.DataFrame,
    settings: Evaluate,
    history: pd.DataFrame | None = None,
    exchanged: Sequence[Exchanged] | None = None,
) -> dict[str, Any]:
    """Write metrics.json, predictions.parquet, the tables and the figures into `folder`, all of it or nothing.

    `decision` is decision.json; `images` has image_id and cell_area (pixels). What was trained has a `history`, which
    adds history.csv and the curves, and what was `exchanged` in its features, which adds importance/; an ensemble has
    neither. Returns the content of metrics.json: that of `summarise`, and `mark` where values were tuned on tested
    groups.
    """
    metrics = summarise(predictions, decision["folds"], images, settings)
    if marked := mark(decision):
        metrics["mark"] = marked
    with new_folder(folder) as part:
        write_json(part / "metrics.json", metrics)
        predictions.to_parquet(part / "predictions.parquet", index=False)
        if history is not None:
            history.to_csv(part / "history.csv", index=False)
        if exchanged is not None:
            write_importance(predictions, exchanged, settings, part / IMPORTANCE_FOLDER)
        write_tables(predictions, part)
        heading = Heading(decision["row"], decision["protocol"], caveat(decision))
        write_figures(part / "figures", heading, predictions, history, metrics, decision["folds"], settings)
    return metrics
