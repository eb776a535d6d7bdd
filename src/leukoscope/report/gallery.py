"""The surest calls of a row, right and wrong, of each class: pictures of test cells with p and the threshold.

There are no Grad-CAM maps here: p is of a fold's model that has not seen the cell, and a map would be of the registered
model, which is the mean over all folds and was trained on it. `leukoscope explain` draws those.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from leukoscope.core import checkout
from leukoscope.core.paths import inside
from leukoscope.report.evidence import Evidence, Result
from leukoscope.report.pictures import picture_uri
from leukoscope.stats.metrics import CLASSES, called_all

SUBJECTS = 6  # of each class and kind of call


class Called(NamedTuple):
    """A test cell: its subject, its p(ALL), its fold's threshold, its file below data/raw/images, its picture."""

    subject: str
    p_all: float
    threshold: float
    file: str
    uri: str


class Calls(NamedTuple):
    """The calls of a class that are right, or those that are wrong: how many, of how many cells, and the surest."""

    name: str
    right: bool
    n: int
    of: int
    surest: list[Called]


def gallery(evidence: Evidence, result: Result) -> list[Calls]:
    """For each class its right calls and its wrong ones on a result's test side, as at each fold's own threshold.

    The surest are those whose p lies farthest on the side of the call; each subject has its surest cell shown, so that
    no one fills the page.
    """
    folds = result.decision.folds
    known = evidence.images.set_index("image_id")["file"]
    rows = result.test_predictions().sort_values("image_id").join(known, on="image_id")
    rows["threshold"] = [folds[str(fold)].threshold for fold in rows["fold"]]
    rows["called"] = called_all(rows["p_all"].to_numpy(), rows["threshold"].to_numpy())
    frame, folder = result.decision.frame, evidence.root / checkout.IMAGE_FILES
    found = []
    for label, name in CLASSES.items():
        of_class = rows[rows["label"] == label]
        for right in (True, False):
            calls = of_class[(of_class["called"] == label) == right]
            surest = calls.sort_values("p_all", ascending=(label == 1) != right, kind="stable")
            shown = surest.drop_duplicates("subject").head(SUBJECTS)
            found.append(Calls(name, right, len(calls), len(of_class), _pictures(shown, folder, frame)))
    return found


def _pictures(rows: pd.DataFrame, folder: Path, frame: int) -> list[Called]:
    columns = rows[["subject", "p_all", "threshold", "file"]].itertuples(index=False, name=None)
    return [Called(subject, p, at, file, picture_uri(inside(folder, file), frame)) for subject, p, at, file in columns]
