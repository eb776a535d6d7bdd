"""Differences between predictions of the same images, paired over shared resamples of their groups.

Cells of one subject are correlated, so tests that take images for independent, such as McNemar's, do not apply.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import chi2

from leukoscope.artifacts.predictions import labels_and_scores, side_of
from leukoscope.config.params import Evaluate
from leukoscope.core.errors import DataError
from leukoscope.stats.bootstrap import Floats, Resamples, resample, small_sample_factor
from leukoscope.stats.metrics import METRICS, UNDEFINED, Labels, Scores, called_all, plain
from leukoscope.stats.resampled import auroc_resamples, count_resamples


def paired_auroc_gap(y: Labels, p_a: Scores, p_b: Scores, groups: ArrayLike, settings: Evaluate) -> dict[str, Any]:
    """AUROC(a) - AUROC(b) of two predictions on the same images, with an interval over shared resamples.

    Keys: auroc_a, auroc_b, gap, gap_low, gap_high, interval_reason, undefined. With one class only the areas and the
    gap are None.
    """
    a, b = (METRICS["auroc"](y, p) for p in (p_a, p_b))
    resamples = resample(y, groups, settings)
    drawn = auroc_resamples(y, p_a, resamples) - auroc_resamples(y, p_b, resamples)
    return {"auroc_a": a, "auroc_b": b, **_gap(a, b, drawn, resamples)}


def _gap(a: float | None, b: float | None, drawn: Floats, resamples: Resamples) -> dict[str, Any]:
    gap = None if a is None or b is None else a - b
    low, high = resamples.interval(drawn)
    return {
        "gap": gap,
        "gap_low": low,
        "gap_high": high,
        "interval_reason": resamples.reason,
        "undefined": {"gap": UNDEFINED["auroc"]} if gap is None else {},
    }


def accuracy_gap(predictions_by_row: Mapping[str, pd.DataFrame], settings: Evaluate) -> dict[str, Any]:
    """Test accuracy at p > 0.5 of the first of two rows less that of the second, paired over shared resamples.

    Keys: accuracy_a, accuracy_b, gap, gap_low, gap_high, interval_reason. Raises DataError unless both tested the same
    images in the same folds.
    """
    tested = {row: side_of(predictions, "test") for row, predictions in predictions_by_row.items()}
    first = _same_images(tested)
    y, _ = labels_and_scores(first)
    calls = [called_all(labels_and_scores(rows)[1]) for rows in tested.values()]
    resamples = resample(y, first["group"], settings)
    drawn_a, drawn_b = (count_resamples(y, called, resamples)["accuracy"] for called in calls)
    low, high = resamples.interval(drawn_a - drawn_b)
    a, b = (float(np.mean(y == called)) for called in calls)
    found = {"accuracy_a": a, "accuracy_b": b, "gap": a - b, "gap_low": low, "gap_high": high}
    gap: dict[str, Any] = plain({**found, "interval_reason": resamples.reason})
    return gap


def leakage_gap(leaky: pd.DataFrame, honest: pd.DataFrame, settings: Evaluate) -> dict[str, Any]:
    """Pooled AUROC of protocol `image` less that of `subject`, over the images that both test.

    Keys: auroc_leaky, auroc_honest, gap, gap_low, gap_high, interval_reason, undefined, n, n_groups. Raises DataError
    if they share no test image, disagree on a label, or test an image twice.
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
    return plain(gap | {"n": len(both), "n_groups": int(both["group_honest"].nunique())})


def compare_rows(predictions_by_row: Mapping[str, pd.DataFrame], settings: Evaluate) -> list[dict[str, Any]]:
    """The pooled test AUROC of each row less that of each later one, under one protocol.

    Keys of each: a, b (rows), gap, gap_low, gap_high, p (of this pair alone), p_corrected (for all pairs), n, n_groups,
    interval_reason, undefined. `p_corrected` is Westfall and Young's single-step max-T over the shared resamples. The
    interval is not corrected. Raises DataError unless the rows tested the same images in the same folds.
    """
    tested = {row: side_of(predictions, "test") for row, predictions in predictions_by_row.items()}
    first = _same_images(tested)
    y, _ = labels_and_scores(first)
    resamples = resample(y, first["group"], settings)
    areas, drawn = {}, {}
    for row, rows in tested.items():
        _, p = labels_and_scores(rows)
        areas[row], drawn[row] = METRICS["auroc"](y, p), auroc_resamples(y, p, resamples)
    pairs = list(combinations(tested, 2))
    gaps_drawn = [drawn[a] - drawn[b] for a, b in pairs]
    gaps = [_gap(areas[a], areas[b], of_pair, resamples) for (a, b), of_pair in zip(pairs, gaps_drawn, strict=True)]
    tests: list[dict[str, float | None]] = [{"p": None, "p_corrected": None}] * len(pairs)
    if pairs and not resamples.reason:
        measured = np.array([gap["gap"] for gap in gaps])
        tests = _p_values(measured, np.stack(gaps_drawn), min(resamples.effective.values()))
    about = {"n": int(first["image_id"].nunique()), "n_groups": int(first["group"].nunique())}
    return [
        plain({"a": a, "b": b, **gap, **test, **about}) for (a, b), gap, test in zip(pairs, gaps, tests, strict=True)
    ]


def _same_images(tested: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Any row's tested images. Raises DataError unless all rows tested the same ones in the same folds."""
    first_row, first = next(iter(tested.items()))
    keys = ["image_id", "fold", "label", "group"]
    for row, rows in tested.items():
        if not rows[keys].equals(first[keys]):
            raise DataError(f"{row} and {first_row} did not test the same images in the same folds: run dvc repro")
    return first


def _p_values(gaps: Floats, drawn: Floats, groups: float) -> list[dict[str, float | None]]:
    """`p` of each gap [pairs] being 0, and `p_corrected` for all pairs, from resampled gaps [pairs, resamples].

    The resampled gaps around the measured one, over their deviation, are what a gap over its standard error would be if
    the rows did not differ; the largest over all pairs, in each resample, is what the largest of all would be. Few
    groups leave the standard error itself unsure. As in Student's t, it then varies as sqrt(chi2(f) / f) with f the
    effective groups of the scarcer class less 1, and p is the mean over that.
    """
    freedom = groups - 1
    error = drawn.std(axis=1) * small_sample_factor(groups)
    differ = error > 0  # rows that say the same of every image differ in no resample
    null = np.zeros_like(drawn)
    null[differ] = np.abs(drawn - gaps[:, None])[differ] / drawn[differ].std(axis=1, keepdims=True)
    largest = null.max(axis=0)
    found: list[dict[str, float | None]] = []
    for pair, gap in enumerate(np.abs(gaps)):
        statistic = gap / error[pair] if differ[pair] else 0.0
        p, p_corrected = (
            float(chi2.cdf(freedom * (values / statistic) ** 2, freedom).mean()) if statistic else 1.0
            for values in (null[pair], largest)
        )
        found.append({"p": p, "p_corrected": p_corrected})
    return found
