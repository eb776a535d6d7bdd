"""The no-skill bar: what the cell's area alone achieves, since leukemia cells are larger on average.

A model that is not better than this has learned nothing that a ruler does not show.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from leukoscope.artifacts.predictions import labels_and_scores
from leukoscope.config.params import Evaluate
from leukoscope.core.errors import DataError
from leukoscope.evaluation.comparison import paired_auroc_gap
from leukoscope.stats.bootstrap import resample
from leukoscope.stats.metrics import CLASSES, METRICS, UNDEFINED, measure_calls
from leukoscope.stats.resampled import auroc_resamples, count_resamples


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
    tested, larger = _area_scores(rows[rows["label"].notna()])
    if tested.empty:
        raise DataError("the splits have no labelled test images: nothing to compare the models with")
    y, score = tested["label"].to_numpy(np.int64), tested["area_score"].to_numpy(np.float64)
    resamples = resample(y, tested["group"], settings)
    low, high = resamples.interval(auroc_resamples(y, score, resamples))
    return {
        "auroc": METRICS["auroc"](y, score),
        "auroc_low": low,
        "auroc_high": high,
        "interval_reason": resamples.reason,
        "larger_is_all": larger,
        "n": int(tested["image_id"].nunique()),
    }


def over_area(predictions: pd.DataFrame, images: pd.DataFrame, settings: Evaluate) -> dict[str, Any]:
    """AUROC of the pooled test predictions less that of cell area on the same images, paired over groups.

    `images` has image_id and cell_area (pixels). Keys: auroc_area, gap, gap_low, gap_high, interval_reason, undefined.
    Where gap_low is not above 0, the model is not shown to know more than a ruler. Raises DataError if `images` lacks
    an image that was predicted.
    """
    rows = predictions.merge(images[["image_id", "cell_area"]], on="image_id", how="left", validate="many_to_one")
    unknown = rows.loc[rows["cell_area"].isna(), "image_id"]
    if len(unknown):
        raise DataError(
            f"the images lack {unknown.nunique()} that were predicted, {unknown.iloc[0]} first: run dvc repro"
        )
    tested, _ = _area_scores(rows)
    y, p = labels_and_scores(tested)
    gap = paired_auroc_gap(y, p, tested["area_score"].to_numpy(np.float64), tested["group"], settings)
    gap.pop("auroc_a")
    return {"auroc_area": gap.pop("auroc_b"), **gap}


def _area_scores(rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, bool]]:
    """The test rows with `area_score`, higher for ALL as on their fold's train side, and `larger_is_all` by fold."""
    tested, larger = [], {}
    for fold, of_fold in rows.sort_values(["fold", "image_id"]).groupby("fold"):
        train, test = of_fold[of_fold["side"] == "train"], of_fold[of_fold["side"] == "test"]
        area = METRICS["auroc"](train["label"].to_numpy(np.int64), train["cell_area"].to_numpy(np.float64))
        larger[str(fold)] = area is None or area >= 0.5
        tested.append(test.assign(area_score=test["cell_area"] * (1 if larger[str(fold)] else -1)))
    return pd.concat(tested, ignore_index=True), larger


def no_skill(images: pd.DataFrame, splits: pd.DataFrame, settings: Evaluate) -> dict[str, Any]:
    """Table IV's metrics of calling every test image the class that is more common among them, with their intervals.

    `splits` has one protocol's image_id, fold and side. Keys: called, each of `metrics.CALL_METRICS` with its _low and
    _high, interval_reason, undefined, n.
    """
    tested = splits.loc[splits["side"] == "test", ["image_id"]].merge(
        images[["image_id", "label", "group"]], on="image_id"
    )
    tested = tested[tested["label"].notna()].sort_values("image_id")
    y = tested["label"].to_numpy(np.int64)
    majority = int(y.mean() >= 0.5)
    called = np.full_like(y, majority)
    resamples = resample(y, tested["group"], settings)
    values, drawn = measure_calls(y, called), count_resamples(y, called, resamples)
    content: dict[str, Any] = {"called": CLASSES[majority], "n": int(tested["image_id"].nunique())}
    for name, value in values.items():
        low, high = resamples.interval(drawn[name])
        content |= {name: value, f"{name}_low": low, f"{name}_high": high}
    undefined = {name: UNDEFINED[name] for name, value in values.items() if value is None}
    return content | {"interval_reason": resamples.reason, "undefined": undefined}
