"""A row's result under one protocol, from its predictions: the content of metrics.json and the tables beside it.

A figure is over the pooled rows of a side, unless its name says otherwise. `n` counts distinct images,
`n_predictions` rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from leukoscope.artifacts.metrics import Metrics
from leukoscope.artifacts.predictions import SIDES, checked, labels_and_scores, side_of
from leukoscope.config.params import Evaluate
from leukoscope.core.errors import DataError
from leukoscope.core.files import new_file
from leukoscope.evaluation.baseline import over_area
from leukoscope.stats.bootstrap import Floats, Resamples, effective_number, group_sizes, resample
from leukoscope.stats.calibration import rescaled, slope_and_intercept, slope_and_intercept_resamples
from leukoscope.stats.metrics import (
    ARGMAX,
    CLASSES,
    DIGITS,
    METRICS,
    UNDEFINED,
    Labels,
    Scores,
    auroc_by_group,
    called_all,
    confusion,
    measure,
    measure_calls,
    plain,
)
from leukoscope.stats.operating_point import threshold_at_specificity
from leukoscope.stats.points import OperatingPoint
from leukoscope.stats.resampled import (
    auroc_resamples,
    calibration_resamples,
    count_resamples,
    curve_resamples,
    fold_mean_auroc_resamples,
)

ROC_POINTS = 200
SPECIFICITIES = (0.90, 0.95)
FEW_EFFECTIVE_GROUPS = 10  # below it a result is "indicative"

Folds = Mapping[str, OperatingPoint]
_RESTS_ON = {"recall": (1,), "sensitivity": (1,), "specificity": (0,)}  # the classes, where it is not both


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


def _estimates(values: Mapping[str, float | None], drawn: Mapping[str, Floats], resamples: Resamples) -> dict[str, Any]:
    """Each value by name with its interval as name_low and name_high, and `undefined`: why a value is None."""
    content: dict[str, Any] = {}
    for name, value in values.items():
        of_resamples = drawn.get(name, np.empty(0))
        if name == "ece" and value is not None:  # resampled bins are noisier than the bins, so it grows: turn it round
            of_resamples = np.maximum(2 * value - of_resamples, 0)
        low, high = resamples.interval(of_resamples, _RESTS_ON.get(name, (1, 0)))
        content |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return content | {"undefined": {name: UNDEFINED[name] for name, value in values.items() if value is None}}


def _at_threshold(rows: pd.DataFrame, y: Labels, p: Scores, folds: Folds, resamples: Resamples) -> dict[str, Any]:
    """Table IV's metrics where each fold's rows are called at that fold's own threshold."""
    called = called_all(p, _of_each_row(rows, folds, lambda point: point.threshold))
    values, drawn = measure_calls(y, called), count_resamples(y, called, resamples)
    values["sensitivity"], drawn["sensitivity"] = values["recall"], drawn["recall"]
    return _estimates(values, drawn, resamples) | {"confusion": confusion(y, called)}


def _of_each_row(rows: pd.DataFrame, folds: Folds, decided: Callable[[OperatingPoint], float]) -> Scores:
    """What each row's fold decided on its validation side. Raises DataError where a fold decided nothing."""
    unknown = sorted({str(fold) for fold in rows["fold"]} - set(folds))
    if unknown:
        raise DataError(f"nothing was decided for fold {unknown[0]}: run train again, so that decision.json has it")
    of_fold = {int(fold): decided(point) for fold, point in folds.items()}
    return np.array([of_fold[fold] for fold in rows["fold"]], dtype=np.float64)


def scaled_scores(rows: pd.DataFrame, folds: Folds) -> Scores:
    """p of prediction rows after the two-parameter scaling that each fold's validation side decided."""
    slope = _of_each_row(rows, folds, lambda point: point.calibration.slope)
    intercept = _of_each_row(rows, folds, lambda point: point.calibration.intercept)
    return rescaled(labels_and_scores(rows)[1], slope, intercept)


def _fold_aurocs(rows: pd.DataFrame) -> tuple[list[float], list[int]]:
    """The area of each fold that has both classes, and its number of pairs."""
    areas, pairs = [], []
    for _, fold in rows.groupby("fold"):
        y, p = labels_and_scores(fold)
        area = METRICS["auroc"](y, p)
        if area is not None:
            areas.append(area)
            pairs.append(int(y.sum()) * int((1 - y).sum()))
    return areas, pairs


def _sensitivity_at_specificity(y: Labels, p: Scores, drawn: Floats, resamples: Resamples) -> dict[str, dict[str, Any]]:
    """The sensitivity at the smallest threshold that keeps each of `SPECIFICITIES` on these very rows."""
    content = {}
    for at_least, of_resamples in zip(SPECIFICITIES, drawn.T, strict=True):
        value = None
        if 0 < y.sum() < len(y):
            value = float(np.mean(p[y == 1] > threshold_at_specificity(y, p, at_least)))
        low, high = resamples.interval(of_resamples)
        content[f"{at_least:.2f}"] = {"value": value, "low": low, "high": high}
    return content


def _calibration(y: Labels, p: Scores, resamples: Resamples) -> dict[str, Any]:
    slope, intercept = slope_and_intercept(y, p)
    values = {"slope": slope, "intercept": intercept, "ece": METRICS["ece"](y, p), "brier": METRICS["brier"](y, p)}
    drawn = calibration_resamples(y, p, resamples)
    if not resamples.reason:
        drawn["slope"], drawn["intercept"] = slope_and_intercept_resamples(y, p, resamples)
    return _estimates(values, drawn, resamples)


def _brier_skill(
    y: Labels, p: Scores, forecast: Scores, resamples: Resamples
) -> tuple[float | None, float | None, Floats]:
    """The Brier score of a forecast that says the prevalence alone, and what share of it p takes away (1 is all)."""
    errors = np.column_stack([(p - y) ** 2, (forecast - y) ** 2])
    ours, theirs = errors.mean(axis=0)
    drawn = resamples.sums(errors)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(theirs), 1 - float(ours / theirs) if theirs else None, 1 - drawn[:, 0] / drawn[:, 1]


def _side(rows: pd.DataFrame, folds: Folds, prevalence: Mapping[int, float], settings: Evaluate) -> dict[str, Any]:
    y, p = labels_and_scores(rows)
    resamples = resample(y, rows["group"], settings)
    fold_areas, fold_pairs = _fold_aurocs(rows)
    forecast = np.array([prevalence[fold] for fold in rows["fold"]], dtype=np.float64)
    brier_prevalence, brier_skill, brier_skill_drawn = _brier_skill(y, p, forecast, resamples)
    auprc_drawn, sensitivity_drawn = curve_resamples(y, p, resamples, SPECIFICITIES)
    values = measure(y, p) | {
        "auroc_fold_mean": float(np.mean(fold_areas)) if fold_areas else None,
        "auroc_by_group": auroc_by_group(y, p, rows["group"]),
        "brier_skill": brier_skill,
    }
    drawn = {
        **count_resamples(y, called_all(p, ARGMAX), resamples),
        **calibration_resamples(y, p, resamples),
        "auroc": auroc_resamples(y, p, resamples),
        "auroc_fold_mean": fold_mean_auroc_resamples(y, p, rows["fold"].to_numpy(), resamples),
        "auroc_by_group": auroc_resamples(y, p, resamples, by_group=True),
        "auprc": auprc_drawn,
        "brier_skill": brier_skill_drawn,
    }
    return _estimates(values, drawn, resamples) | {
        "auroc_within_folds": float(np.average(fold_areas, weights=fold_pairs)) if fold_areas else None,
        "sensitivity_at_specificity": _sensitivity_at_specificity(y, p, sensitivity_drawn, resamples),
        "brier_prevalence": brier_prevalence,
        "calibration": {
            "raw": _calibration(y, p, resamples),
            "scaled": _calibration(y, scaled_scores(rows, folds), resamples),
        },
        "confusion": confusion(y, called_all(p)),
        "at_threshold": _at_threshold(rows, y, p, folds, resamples),
        **_witnesses(rows),
        "interval_level": settings.level,
        "interval_reason": resamples.reason,
    }


def _witnesses(rows: pd.DataFrame) -> dict[str, Any]:
    """How many images, subjects and groups the figures rest on, in all and of each class."""
    distinct = rows.drop_duplicates("image_id")
    classes = _classes(rows, subject_table(rows, rows["side"].iloc[0]))
    return {
        "n": len(distinct),
        "n_predictions": len(rows),
        "n_subjects": int(rows["subject"].nunique()),
        "n_groups": int(rows["group"].nunique()),
        "n_groups_effective": effective_number(distinct["group"].value_counts().to_numpy()),
        "classes": classes,
        "indicative": any(of["n_groups_effective"] < FEW_EFFECTIVE_GROUPS for of in classes.values()),
    }


def summarise(predictions: pd.DataFrame, folds: Folds, images: pd.DataFrame, settings: Evaluate) -> Metrics:
    """metrics.json: for test, val and train every metric with its group-bootstrap interval.

    `folds` holds what each fold's validation side decided, as decision.json does: `at_threshold` calls at its threshold
    (everything else is at p > 0.5), `calibration` has p as it is and scaled. `images` has image_id and cell_area
    (pixels), for `over_area`: AUROC of the test side less that of cell area alone. `sensitivity_at_specificity` is read
    off each side's own ROC curve; `brier_prevalence` is of a forecast that always says the share of ALL on its fold's
    train side.

    All but slopes, intercepts, skill and gaps are in 0..1. None stands where a figure (`undefined`) or its interval
    (`interval_reason`) is not defined; the reason stands beside it. `indicative` is true where a class has fewer than
    10 effective groups.
    """
    predictions = checked(predictions)
    train = side_of(predictions, "train")
    prevalence = {int(str(fold)): float(labels.mean()) for fold, labels in train.groupby("fold")["label"]}
    content = {side: _side(side_of(predictions, side), folds, prevalence, settings) for side in SIDES}
    content["test"]["over_area"] = over_area(predictions, images, settings)
    return Metrics(plain(content))


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
        with new_file(folder / name) as part:
            table(predictions).to_csv(part, index=False, float_format=f"%.{DIGITS}g", lineterminator="\n")
