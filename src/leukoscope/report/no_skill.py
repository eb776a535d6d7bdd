"""What needs no picture: every test image is called the more common class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from leukoscope.config import Evaluate
from leukoscope.evaluation.bootstrap import resample
from leukoscope.evaluation.metrics import CLASSES, UNDEFINED, measure_calls
from leukoscope.evaluation.resampled import count_resamples


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
