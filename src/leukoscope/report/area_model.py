"""Cell area as a row of its own, so that it stands beside the models in every table that ranking or calls fill."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from leukoscope.artifacts.metrics import Metrics
from leukoscope.config.params import Params
from leukoscope.evaluation.results import summarise
from leukoscope.stats.operating_point import decide


def area_metrics(
    images: pd.DataFrame, splits: pd.DataFrame, larger_is_all: Mapping[str, bool], params: Params
) -> Metrics:
    """metrics.json of cell area alone under the protocol of `splits`, its thresholds chosen on validation.

    `larger_is_all` is what each fold's train side says (`baseline_area`). Area is scaled to 0..1 for ranking; it is no
    probability, so what is at p > 0.5 or about calibration means nothing here.
    """
    known = images[["image_id", "subject", "group", "label", "cell_area"]]
    rows = splits[splits["side"] != "unused"].merge(known, on="image_id", validate="many_to_one")
    rows = rows[rows["label"].notna()].astype({"label": "int8"})
    direction = np.array([1 if larger_is_all[str(fold)] else -1 for fold in rows["fold"]])
    score = direction * rows["cell_area"].to_numpy(np.float64)
    predictions = rows.drop(columns="cell_area").assign(p_all=(score - score.min()) / max(np.ptp(score), 1e-9))
    decided = decide(predictions, params.threshold, params.evaluate)
    return summarise(predictions, decided.folds, images, params.evaluate)
