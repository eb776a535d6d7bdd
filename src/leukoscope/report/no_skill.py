"""The accuracy that needs no picture: every test image is called the more common class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from leukoscope.config import Evaluate
from leukoscope.evaluation.bootstrap import resample
from leukoscope.evaluation.metrics import CLASSES
from leukoscope.evaluation.resampled import count_resamples


def no_skill(images: pd.DataFrame, splits: pd.DataFrame, settings: Evaluate) -> dict[str, Any]:
    """The accuracy of calling every test image the class that is more common among them, with its interval.

    `splits` has one protocol's image_id, fold and side. Keys: called, accuracy, accuracy_low, accuracy_high,
    interval_reason, n.
    """
    tested = splits.loc[splits["side"] == "test", ["image_id"]].merge(
        images[["image_id", "label", "group"]], on="image_id"
    )
    tested = tested[tested["label"].notna()].sort_values("image_id")
    y = tested["label"].to_numpy(np.int64)
    majority = int(y.mean() >= 0.5)
    resamples = resample(y, tested["group"], settings)
    low, high = resamples.interval(count_resamples(y, np.full_like(y, majority), resamples)["accuracy"])
    return {
        "called": CLASSES[majority],
        "accuracy": float(np.mean(y == majority)),
        "accuracy_low": low,
        "accuracy_high": high,
        "interval_reason": resamples.reason,
        "n": int(tested["image_id"].nunique()),
    }
