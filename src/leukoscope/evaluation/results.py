"""A row's result under one protocol, from its predictions: the content of metrics.json and the tables beside it.

Predictions are one row per image, fold and side, with columns image_id, subject, group, label (1 is ALL, 0 is hem),
p_all, fold and side (train, val or test). A figure is over the pooled rows of a side: under k folds an image is tested
once, validates once and trains k - 2 times. `n` counts distinct images, `n_predictions` rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from leukoscope import atomic
from leukoscope.config import Evaluate
from leukoscope.errors import DataError
from leukoscope.evaluation.bootstrap import (
    Resamples,
    count_resamples,
    effective_number,
    group_sizes,
    metric_intervals,
    paired_auroc_gap,
    percentile_interval,
    resample,
)
from leukoscope.evaluation.metrics import CLASSES, METRICS, UNDEFINED, Labels, Scores, called_all, confusion, measure

SIDES = ("test", "val", "train")
COLUMNS = ("image_id", "subject", "group", "label", "p_all", "fold", "side")
ROC_POINTS = 200
FEW_EFFECTIVE_GROUPS = 20  # below some 20 to 30 clusters their bootstrap is too narrow (Cameron 2008): "indicative"
_DIGITS = 10


def _plain(value: Any) -> Any:
    """Plain Python values, with floats rounded to 10 significant digits so that a file's bytes are stable."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


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


def subject_table(predictions: pd.DataFrame, side: str = "test") -> pd.DataFrame:
    """One row per subject and class, lowest accuracy first: class, subject, group, n, accuracy at p > 0.5, mean_p."""
    rows = side_of(predictions, side)
    y, p = labels_and_scores(rows)
    rows = rows.assign(correct=called_all(p) == y, **{"class": rows["label"].map(CLASSES)})
    table = (
        rows.groupby(["class", "subject", "group"], observed=True)
        .agg(n=("image_id", "nunique"), accuracy=("correct", "mean"), mean_p=("p_all", "mean"))
        .reset_index()
    )
    return table.sort_values(["class", "accuracy", "subject"], ignore_index=True)


def _classes(rows: pd.DataFrame, subjects: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Counts of each class, and its spread over subjects."""
    distinct = rows.drop_duplicates("image_id")
    sizes = group_sizes(distinct["label"].to_numpy(np.int64), distinct["group"])
    content = {}
    for label, name in CLASSES.items():
        accuracy = subjects.loc[subjects["class"] == name, "accuracy"]
        content[name] = {
            "n": int(sizes[label].sum()),
            "n_subjects": len(accuracy),
            "n_groups": len(sizes[label]),
            "n_groups_effective": effective_number(sizes[label]),
            "subject_accuracy_mean": float(accuracy.mean()) if len(accuracy) else None,
            "subject_accuracy_min": float(accuracy.min()) if len(accuracy) else None,
        }
    return content


def _at_threshold(
    rows: pd.DataFrame, y: Labels, p: Scores, thresholds: Mapping[int, float], resamples: Resamples
) -> dict[str, Any]:
    """Sensitivity and specificity where each fold's rows are called at that fold's own threshold."""
    unknown = sorted(set(rows["fold"]) - set(thresholds))
    if unknown:
        raise DataError(f"no threshold was chosen for fold {unknown[0]}: run train again, so that decision.json has it")
    called = called_all(p, np.array([thresholds[fold] for fold in rows["fold"]], dtype=np.float64))
    counts = confusion(y, called)
    drawn = {} if resamples.reason else count_resamples(y, called, resamples)
    content: dict[str, Any] = {"confusion": counts}
    for name, source, hit, miss in (("sensitivity", "recall", "tp", "fn"), ("specificity", "specificity", "tn", "fp")):
        of_class = counts[hit] + counts[miss]
        low, high = percentile_interval(drawn.get(source, np.empty(0)), resamples.level)
        content |= {name: counts[hit] / of_class if of_class else None, f"{name}_low": low, f"{name}_high": high}
    return content


def _auroc_within_folds(rows: pd.DataFrame) -> float | None:
    """The area over pairs of the same fold: beside the pooled one, it shows how far the folds' scales of p differ."""
    areas, pairs = [], []
    for _, fold in rows.groupby("fold"):
        y, p = labels_and_scores(fold)
        area = METRICS["auroc"](y, p)
        if area is not None:
            areas.append(area)
            pairs.append(int(y.sum()) * int((1 - y).sum()))
    return float(np.average(areas, weights=pairs)) if areas else None


def _side(rows: pd.DataFrame, thresholds: Mapping[int, float], settings: Evaluate, side: str) -> dict[str, Any]:
    y, p = labels_and_scores(rows)
    resamples = resample(y, rows["group"], settings)
    values, intervals = measure(y, p), metric_intervals(y, p, resamples)
    content: dict[str, Any] = {}
    for name, value in values.items():
        low, high = intervals[name]
        content |= {name: value, f"{name}_low": low, f"{name}_high": high}
    distinct = rows.drop_duplicates("image_id")
    classes = _classes(rows, subject_table(rows, side))
    return content | {
        "auroc_within_folds": _auroc_within_folds(rows),
        "confusion": confusion(y, called_all(p)),
        "at_threshold": _at_threshold(rows, y, p, thresholds, resamples),
        "n": len(distinct),
        "n_predictions": len(rows),
        "n_subjects": int(rows["subject"].nunique()),
        "n_groups": int(rows["group"].nunique()),
        "n_groups_effective": effective_number(distinct["group"].value_counts().to_numpy()),
        "classes": classes,
        "indicative": any(of["n_groups_effective"] < FEW_EFFECTIVE_GROUPS for of in classes.values()),
        "interval_level": settings.level,
        "interval_reason": resamples.reason,
        "undefined": {name: UNDEFINED[name] for name, value in values.items() if value is None},
    }


def summarise(predictions: pd.DataFrame, thresholds: Mapping[int, float], settings: Evaluate) -> dict[str, Any]:
    """The content of metrics.json: for test, val and train every metric with its group-bootstrap interval.

    All values are in 0..1. `thresholds` holds each fold's threshold, chosen on its validation side: `at_threshold` uses
    them, everything else is at p > 0.5. None stands where a metric (`undefined`) or its interval (`interval_reason`) is
    not defined; the reason stands beside it. `indicative` is true where a class has fewer than 20
    effective groups, so that even the interval is too narrow.
    """
    content = {side: _side(side_of(predictions, side), thresholds, settings, side) for side in SIDES}
    plain: dict[str, Any] = _plain(content)
    return plain


def leakage_gap(leaky: pd.DataFrame, honest: pd.DataFrame, settings: Evaluate) -> dict[str, Any]:
    """AUROC of protocol `image` less that of `subject`, over the images that both test, with its interval over groups.

    Keys: auroc_leaky, auroc_honest, gap, gap_low, gap_high, interval_reason, n, n_groups. Raises DataError if they
    share no test image, disagree on a label, or test an image twice.
    """
    sides = [side_of(predictions, "test") for predictions in (leaky, honest)]
    if any(side["image_id"].duplicated().any() for side in sides):
        raise DataError("an image is tested in two folds, so its predictions have no pair: compare subject and image")
    both = sides[0].merge(sides[1], on="image_id", suffixes=("_leaky", "_honest"))
    if both.empty:
        raise DataError("the two protocols test no image in common: run evaluate for both on the same data")
    if (both["label_leaky"] != both["label_honest"]).any():
        raise DataError("the two protocols disagree on labels: run evaluate for both on the same data")
    both = both.sort_values("image_id")
    gap = paired_auroc_gap(
        both["label_honest"].to_numpy(np.int64),
        both["p_all_leaky"].to_numpy(np.float64),
        both["p_all_honest"].to_numpy(np.float64),
        both["group_honest"],
        settings,
    )
    gap = {"auroc_leaky": gap.pop("auroc_a"), "auroc_honest": gap.pop("auroc_b"), **gap}
    plain: dict[str, Any] = _plain(gap | {"n": len(both), "n_groups": int(both["group_honest"].nunique())})
    return plain


def roc_table(predictions: pd.DataFrame, side: str = "test") -> pd.DataFrame:
    """The pooled ROC curve as fpr, tpr and threshold (ALL where p >= threshold), thinned to at most 200 points.

    The points kept are evenly spaced along the curve. The first, where nothing is called ALL, has the threshold 1
    in place of infinity. Raises DataError if the side has one class only.
    """
    y, p = labels_and_scores(side_of(predictions, side))
    if y.min() == y.max():
        raise DataError(f"the {side} side has images of one class only, so it has no ROC curve: use more subjects")
    fpr, tpr, threshold = roc_curve(y, p)
    along = (fpr + tpr) / 2
    kept = np.unique(np.searchsorted(along, np.linspace(0, 1, ROC_POINTS)).clip(max=len(along) - 1))
    table = pd.DataFrame({"fpr": fpr, "tpr": tpr, "threshold": np.where(np.isinf(threshold), 1.0, threshold)})
    return table.iloc[kept].reset_index(drop=True)


def confusion_table(predictions: pd.DataFrame, side: str = "test") -> pd.DataFrame:
    """The columns actual and predicted, ALL or hem, one row per prediction: what DVC's confusion template reads."""
    y, p = labels_and_scores(side_of(predictions, side))
    return pd.DataFrame({"actual": y, "predicted": called_all(p)}).replace(CLASSES)


TABLES = {"roc.csv": roc_table, "confusion.csv": confusion_table, "subjects.csv": subject_table}


def write_tables(predictions: pd.DataFrame, folder: Path) -> None:
    """Write roc.csv, confusion.csv and subjects.csv of the test side into `folder`."""
    for name, table in TABLES.items():
        with atomic.new_file(folder / name) as part:
            table(predictions).to_csv(part, index=False, float_format=f"%.{_DIGITS}g", lineterminator="\n")
