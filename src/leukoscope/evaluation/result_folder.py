"""results/<name>-<protocol>: what evaluation leaves of a row or an ensemble, for scripts, for DVC and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from leukoscope.artifacts.decision import Decision
from leukoscope.artifacts.metrics import Metrics
from leukoscope.artifacts.predictions import write_predictions
from leukoscope.config.params import Evaluate
from leukoscope.core.checkout import HISTORY_FILE
from leukoscope.core.files import new_folder
from leukoscope.evaluation.figures import Heading, write_figures
from leukoscope.evaluation.importance import IMPORTANCE_FOLDER, Exchanged, write_importance
from leukoscope.evaluation.results import summarise, write_tables


def write_result(
    folder: Path,
    decision: Decision,
    predictions: pd.DataFrame,
    images: pd.DataFrame,
    settings: Evaluate,
    history: pd.DataFrame | None = None,
    exchanged: Sequence[Exchanged] | None = None,
) -> Metrics:
    """Write metrics.json, predictions.parquet, the tables and the figures into `folder`, all of it or nothing.

    `images` has image_id and cell_area (pixels). What was trained has a `history`, which
    adds history.csv and the curves, and what was `exchanged` in its features, which adds importance/; an ensemble has
    neither. Returns what `summarise` measured, with a mark where values were tuned on tested groups.
    """
    metrics = summarise(predictions, decision.folds, images, settings).marked(decision.mark)
    with new_folder(folder) as part:
        metrics.write(part)
        write_predictions(predictions, part)
        if history is not None:
            history.to_csv(part / HISTORY_FILE, index=False)
        if exchanged is not None:
            write_importance(predictions, exchanged, settings, part / IMPORTANCE_FOLDER)
        write_tables(predictions, part)
        heading = Heading(decision.row, decision.protocol, decision.caveat)
        write_figures(part / "figures", heading, predictions, history, metrics.test, decision.folds, settings)
    return metrics
