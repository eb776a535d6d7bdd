"""How much a part of a row's features decides: what its figures lose when that part is another subject's.

Permutation importance (Breiman 2001) as `exchanged` makes it, on images that the folds were not trained on. A
loss counts what the part alone tells: what other parts tell too is not missed, so losses do not add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from leukoscope.artifacts.predictions import labels_and_scores, side_of
from leukoscope.config.params import Evaluate
from leukoscope.core.files import new_file
from leukoscope.stats.bootstrap import Floats, resample
from leukoscope.stats.metrics import CLASSES, DIGITS
from leukoscope.stats.resampled import auroc_resamples

IMPORTANCE_FOLDER = "importance"
AREAS = ["auroc", "auroc_exchanged", "fall", "fall_low", "fall_high", "interval_reason"]
PARTS_COLUMNS = ["dimension", "part", "columns", *AREAS]
PARTS_FILE, GROUPS_FILE, IMAGES_FILE = "parts.csv", "groups.csv", "images.parquet"


class Exchanged(NamedTuple):
    """p(ALL) float64 [repeats, images] where a part of a row's features, so many `columns`, is another subject's.

    The images are the tested ones, by fold and in each by image_id. `dimension` is what the part is one of: tap,
    colours, statistic or backbone. `as_is` [images] is what the same models say with nothing exchanged.
    """

    dimension: str
    part: str
    columns: int
    p_all: Floats
    as_is: Floats


def parts_table(tested: pd.DataFrame, exchanged: Sequence[Exchanged], settings: Evaluate) -> pd.DataFrame:
    """For each part the pooled test AUROC as it is and with the part exchanged (mean of the repeats), and the fall.

    `tested` are prediction rows of both classes as `side_of` gives them. The fall's interval resamples groups, paired;
    which images were exchanged for which stays.
    """
    y, _ = labels_and_scores(tested)
    resamples = resample(y, tested["group"], settings)
    rows = []
    for one in exchanged:
        area, drawn = roc_auc_score(y, one.as_is), auroc_resamples(y, one.as_is, resamples)
        left = np.mean([roc_auc_score(y, repeat) for repeat in one.p_all])
        falls = drawn - np.mean([auroc_resamples(y, repeat, resamples) for repeat in one.p_all], axis=0)
        rows.append((*one[:3], area, left, area - left, *resamples.interval(falls), resamples.reason))
    return pd.DataFrame(rows, columns=PARTS_COLUMNS)


def images_table(tested: pd.DataFrame, exchanged: Sequence[Exchanged]) -> pd.DataFrame:
    """p(ALL) of each tested image as it is and with each part exchanged, the mean of the repeats."""
    return pd.DataFrame(
        {
            "dimension": np.repeat([one.dimension for one in exchanged], len(tested)),
            "part": np.repeat([one.part for one in exchanged], len(tested)),
            "image_id": np.tile(tested["image_id"], len(exchanged)),
            "p_as_is": np.concatenate([np.zeros(0), *(one.as_is for one in exchanged)]),
            "p_exchanged": np.array([one.p_all.mean(axis=0) for one in exchanged]).ravel(),
        }
    )


def groups_table(tested: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """By how much a group's mean p of the right class falls with each part exchanged (`images_table`), most first."""
    rows = images.merge(tested, on="image_id", validate="many_to_one")
    right = np.where(rows["label"] == 1, 1, -1)
    rows = rows.assign(fall=right * (rows["p_as_is"] - rows["p_exchanged"]), **{"class": rows["label"].map(CLASSES)})
    by = ["dimension", "part", "class", "group"]
    table = rows.groupby(by, sort=False).agg(n=("image_id", "size"), fall=("fall", "mean")).reset_index()
    return table.sort_values("fall", ascending=False, kind="stable", ignore_index=True)


def write_importance(
    predictions: pd.DataFrame, exchanged: Sequence[Exchanged], settings: Evaluate, folder: Path
) -> None:
    """Write parts.csv, groups.csv and images.parquet into `folder`, without rows where nothing was exchanged."""
    tested = side_of(predictions, "test")
    images = images_table(tested, exchanged)
    tables = {PARTS_FILE: parts_table(tested, exchanged, settings), GROUPS_FILE: groups_table(tested, images)}
    for name, table in tables.items():
        with new_file(folder / name) as part:
            table.to_csv(part, index=False, float_format=f"%.{DIGITS}g", lineterminator="\n")
    images.to_parquet(folder / IMAGES_FILE, index=False)
