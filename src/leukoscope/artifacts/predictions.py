"""The table of predictions: one row per image, fold and side, as predictions.parquet holds it.

Columns image_id, subject, group, label (1 is ALL, 0 is hem), p_all, fold and side (train, val or test). Under k folds
an image is tested once, validates once and trains k - 2 times.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from leukoscope.core.errors import DataError

if TYPE_CHECKING:
    from leukoscope.stats.metrics import Labels, Scores  # loads scikit-learn, which reading needs not

SIDES = ("test", "val", "train")
PREDICTIONS_FILE = "predictions.parquet"
COLUMNS = ("image_id", "subject", "group", "label", "p_all", "fold", "side")


def checked(predictions: pd.DataFrame) -> pd.DataFrame:
    """The predictions sorted by side, fold and image, so that the order of rows never changes a result.

    Raises DataError if a column is missing, a label is not 0 or 1, a p is not in 0..1, a group or subject is missing,
    or an image comes twice on one side of one fold.
    """
    missing = [column for column in COLUMNS if column not in predictions]
    if missing:
        raise DataError(f"predictions lack the columns {', '.join(missing)}: run evaluate again")
    complaints = {
        "a label other than 0 and 1": ~predictions["label"].isin([0, 1]),
        "a p_all outside 0..1": ~predictions["p_all"].between(0, 1),
        "no group or subject": predictions["group"].isna() | predictions["subject"].isna(),
        "a side other than train, val and test": ~predictions["side"].isin(SIDES),
        "a second copy on the same side of the same fold": predictions.duplicated(["image_id", "fold", "side"]),
    }
    for complaint, rows in complaints.items():
        if rows.any():
            first = predictions.loc[rows, "image_id"].iloc[0]
            raise DataError(f"predictions have {int(rows.sum())} rows with {complaint}, the first of image {first}")
    return predictions.sort_values(["side", "fold", "image_id"], ignore_index=True)


def side_of(predictions: pd.DataFrame, side: str) -> pd.DataFrame:
    """The checked rows of one side. Raises DataError if there are none."""
    rows = checked(predictions)
    rows = rows[rows["side"] == side].reset_index(drop=True)
    if rows.empty:
        raise DataError(f"predictions have no rows of side {side}: nothing to measure")
    return rows


def labels_and_scores(rows: pd.DataFrame) -> tuple[Labels, Scores]:
    """y (int64) and p (float64) of prediction rows."""
    return rows["label"].to_numpy(np.int64), rows["p_all"].to_numpy(np.float64)


def write_predictions(predictions: pd.DataFrame, folder: Path) -> None:
    """Write predictions.parquet into `folder`."""
    predictions.to_parquet(folder / PREDICTIONS_FILE, index=False)


def read_predictions(folder: Path, side: str | None = None) -> pd.DataFrame:
    """predictions.parquet in `folder`, or the rows of one side. Raises DataError where there is none."""
    path = folder / PREDICTIONS_FILE
    if not path.exists():
        raise DataError(f"{path} is missing: run dvc repro")
    return pd.read_parquet(path, filters=None if side is None else [("side", "==", side)])
