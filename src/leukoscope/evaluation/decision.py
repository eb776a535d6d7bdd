"""What a row's validation sides decide, and the check that evaluation does not test on what was trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from leukoscope.config import HONEST_PROTOCOLS, Evaluate, Threshold
from leukoscope.errors import SplitError
from leukoscope.evaluation.operating_point import operating_point


def decide(predictions: pd.DataFrame, threshold: Threshold, settings: Evaluate) -> dict[str, Any]:
    """Operating points from the val rows of `predictions`: one for each fold, and one pooled over all.

    A fold's own point serves its test figures; the pooled one serves a model that joins the folds.
    """
    val = predictions[predictions["side"] == "val"]

    def point(rows: pd.DataFrame) -> dict[str, Any]:
        scores = rows["p_all"].to_numpy(np.float64)
        return operating_point(rows["label"].to_numpy(np.int64), scores, rows["group"], threshold, settings)

    return {"folds": {str(fold): point(rows) for fold, rows in val.groupby("fold")}, "pooled": point(val)}


def refuse_other_data(decision: dict[str, Any], about: dict[str, Any]) -> None:
    """Raise SplitError if a model was trained on other images or another split than `about` (`RowInputs.about`) has."""
    other = [
        what
        for what, of_model, here in (
            ("other images", decision["data"]["hash"], about["data"]["hash"]),
            ("another split", decision["split_hash"], about["split_hash"]),
        )
        if of_model != here
    ]
    if other:
        raise SplitError(
            f"the model of {decision['row']}-{decision['protocol']} was trained on {' and '.join(other)}: run dvc "
            f"repro to train it on these"
        )


def refuse_seen_images(decision: dict[str, Any], split: pd.DataFrame, images: pd.DataFrame) -> None:
    """Raise SplitError if a fold's model was trained on a picture that the fold tests, under an honest protocol."""
    if decision["protocol"] not in HONEST_PROTOCOLS:
        return
    sha256 = images.set_index("image_id")["sha256"]
    for fold, rows in split[split["side"] == "test"].groupby("fold"):
        trained = {sha for sha, folds in decision["training_images"].items() if str(fold) in folds.split()}
        seen = [image_id for image_id in rows["image_id"] if sha256[image_id] in trained]
        if seen:
            raise SplitError(
                f"the model of {decision['row']}-{decision['protocol']}, fold {fold}, was trained on {len(seen)} of "
                f"the images that it would be tested on, {seen[0]} first: run dvc repro to train it on this split"
            )
