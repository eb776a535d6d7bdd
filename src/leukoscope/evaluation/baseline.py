"""The no-skill bar: what the cell's area alone achieves, since leukemia cells are larger on average.

A model that is not better than this has learned nothing that a ruler does not show.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from leukoscope.config import Evaluate
from leukoscope.errors import DataError
from leukoscope.evaluation.bootstrap import auroc_resamples, percentile_interval, resample
from leukoscope.evaluation.metrics import METRICS


def baseline_area(images: pd.DataFrame, splits: pd.DataFrame, settings: Evaluate) -> dict[str, Any]:
    """AUROC of cell area over the pooled test sides of one protocol, with its group-bootstrap interval.

    `images` has image_id, label, group and cell_area (pixels); `splits` has image_id, fold and side of one protocol.
    Whether larger or smaller means ALL is fixed on each fold's train side (`larger_is_all`, by fold), never on test.
    Keys: auroc, auroc_low, auroc_high, interval_reason, larger_is_all, n.

    Raises DataError if no test image is labelled.
    """
    if "protocol" in splits and splits["protocol"].nunique() > 1:
        raise DataError("the baseline needs the splits of one protocol: select it before")
    rows = splits.merge(images[["image_id", "label", "group", "cell_area"]], on="image_id", validate="many_to_one")
    rows = rows[rows["label"].notna()].sort_values(["fold", "image_id"])
    tested, scores, larger = [], [], {}
    for fold, of_fold in rows.groupby("fold"):
        train, test = of_fold[of_fold["side"] == "train"], of_fold[of_fold["side"] == "test"]
        area = METRICS["auroc"](train["label"].to_numpy(np.int64), train["cell_area"].to_numpy(np.float64))
        larger[str(fold)] = area is None or area >= 0.5
        tested.append(test)
        scores.append(test["cell_area"].to_numpy(np.float64) * (1 if larger[str(fold)] else -1))
    if not any(len(test) for test in tested):
        raise DataError("the splits have no labelled test images: nothing to compare the models with")
    pooled, score = pd.concat(tested), np.concatenate(scores)
    y = pooled["label"].to_numpy(np.int64)
    resamples = resample(y, pooled["group"], settings)
    drawn = np.empty(0) if resamples.reason else auroc_resamples(y, score, resamples)
    low, high = percentile_interval(drawn, resamples.level)
    return {
        "auroc": METRICS["auroc"](y, score),
        "auroc_low": low,
        "auroc_high": high,
        "interval_reason": resamples.reason,
        "larger_is_all": larger,
        "n": int(pooled["image_id"].nunique()),
    }
