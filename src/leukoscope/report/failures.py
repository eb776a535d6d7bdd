"""Where a row fails: the subjects it has wrong most surely, their cells, and what sets them apart from their class."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from leukoscope.artifacts.metrics import Estimate
from leukoscope.core import checkout
from leukoscope.core.paths import inside
from leukoscope.report.evidence import Evidence, Result
from leukoscope.report.pictures import picture_uri
from leukoscope.stats.metrics import CLASSES, called_all

SUBJECTS = 3  # of each class
CELLS = 4  # of each subject
FEW_OTHERS = 3  # subjects: below them there is no spread to measure by
APART = 2  # deviations of the other subjects' means from which on a trait is said in words
TOWARDS = 0.5  # as many that the other class must lie away for it to be said of it
TRAITS = {  # what is measured of a cell: the words for less and for more of it
    "size": ("smaller", "larger"),
    "brightness": ("darker", "paler"),
    "red less blue": ("bluer", "redder"),
    "grain": ("smoother", "coarser"),
}


class Thumbnail(NamedTuple):
    """A cell's subject, p(ALL), and its picture as a data URI."""

    subject: str
    p_all: float
    uri: str


class Failing(NamedTuple):
    """A subject: the share of its cells that are right at p > 0.5, its number of cells, and their mean p(ALL).

    `apart` has for each trait how many deviations of its class's other subjects its mean lies from theirs, None where
    they are too few; `words` says which lie far, and whether towards the other class.
    """

    subject: str
    right: Estimate
    n: int
    mean_p: float
    apart: dict[str, float | None]
    words: list[str]
    wrong: list[Thumbnail]


class OfClass(NamedTuple):
    """A class: its tested subjects, those of which fewer than half the cells are right, those that fail most surely.

    `right` are cells of it that are right.
    """

    name: str
    subjects: int
    mostly_wrong: int
    failing: list[Failing]
    right: list[Thumbnail]


class Shown(NamedTuple):
    """Where image files are, and how much of them is shown: the side of the centre in native pixels."""

    folder: Path
    frame: int

    def thumbnails(self, cells: pd.DataFrame) -> list[Thumbnail]:
        """Cells with their pictures."""
        columns = cells[["subject", "p_all", "file"]].itertuples(index=False, name=None)
        return [
            Thumbnail(subject, p, picture_uri(inside(self.folder, file), self.frame)) for subject, p, file in columns
        ]


def failures(evidence: Evidence, result: Result) -> list[OfClass]:
    """For each class the subjects of a result's test side that fail most surely, and what they look like.

    Subjects are ordered by the upper end of the interval of their share right, so that a few cells make no failure.
    """
    cells = traits(evidence.images).join(evidence.images.set_index("image_id")["file"])
    rows = result.test_predictions().sort_values("image_id").join(cells, on="image_id")
    rows["correct"] = called_all(rows["p_all"].to_numpy()) == rows["label"]
    means = rows.groupby(["label", "subject", "group"])[list(TRAITS)].mean().reset_index()
    shown = Shown(evidence.root / checkout.IMAGE_FILES, result.decision.frame)
    found = []
    for label, name in CLASSES.items():
        of_class = rows[rows["label"] == label]
        shares = {
            subject: share_right(cells["correct"], evidence.params.evaluate.level)
            for subject, cells in of_class.groupby("subject")
        }
        imperfect = of_class.loc[~of_class["correct"], "subject"].unique()
        worst = sorted(imperfect, key=lambda subject: (shares[subject].high, subject))[:SUBJECTS]
        failing = [
            _failing(of_class[of_class["subject"] == subject], shares[subject], means, shown) for subject in worst
        ]
        right = typical(of_class[of_class["correct"]]).drop_duplicates("subject").head(CELLS)
        mostly_wrong = int((of_class.groupby("subject")["correct"].mean() < 0.5).sum())
        found.append(OfClass(name, len(shares), mostly_wrong, failing, shown.thumbnails(right)))
    return found


def _failing(cells: pd.DataFrame, right: Estimate, means: pd.DataFrame, shown: Shown) -> Failing:
    """One subject, from its tested cells and all subjects' mean traits."""
    apart, words = _apart(means, cells.iloc[0])
    wrong = typical(cells[~cells["correct"]]).head(CELLS)
    mean_p = float(cells["p_all"].mean())
    return Failing(cells["subject"].iloc[0], right, len(cells), mean_p, apart, words, shown.thumbnails(wrong))


def traits(images: pd.DataFrame) -> pd.DataFrame:
    """TRAITS of each cell by image_id: pixels, grey levels, grey levels, grey levels."""
    red, green, blue = np.stack(images["colour"].to_list()).T
    measured = [images["cell_area"], (red + green + blue) / 3, red - blue, images["grain"]]
    return pd.DataFrame(dict(zip(TRAITS, measured, strict=True))).set_axis(images["image_id"])


def share_right(correct: pd.Series, level: float) -> Estimate:
    """The share of a subject's cells that are right, with Wilson's interval: over its own cells, as if independent."""
    test = binomtest(int(correct.sum()), len(correct))
    interval = test.proportion_ci(level, method="wilson")
    return Estimate(float(test.statistic), float(interval.low), float(interval.high), None)


def _apart(means: pd.DataFrame, own: pd.Series) -> tuple[dict[str, float | None], list[str]]:
    """`apart` and `words` of the subject that `own` is a cell of, from all subjects' mean traits."""
    label = own["label"]
    of_class, other_class = means[means["label"] == label], means[means["label"] != label]
    subject = of_class[of_class["subject"] == own["subject"]].iloc[0]
    others = of_class[of_class["group"] != own["group"]]
    apart: dict[str, float | None] = {}
    words = []
    for trait, (less, more) in TRAITS.items():
        middle, spread = others[trait].mean(), others[trait].std()
        if len(others) < FEW_OTHERS or not spread > 0:
            apart[trait] = None
            continue
        z = apart[trait] = float((subject[trait] - middle) / spread)
        if abs(z) >= APART:
            away = (other_class[trait].mean() - middle) / spread
            like = f", as {CLASSES[1 - label]} cells are" if np.sign(z) * away >= TOWARDS else ""
            words.append(f"{more if z > 0 else less}{like}")
    return apart, words


def typical(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells in the order of their distance from the median of their traits, in deviations of these cells."""
    values = cells[list(TRAITS)]
    distance = ((values - values.median()) / values.std().replace(0, 1).fillna(1)).pow(2).sum(axis=1)
    return cells.loc[distance.sort_values(kind="stable").index]
