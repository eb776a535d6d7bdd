"""What carries a row's decision: what AUROC loses with each part of its features exchanged, and the cells that move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from leukoscope.artifacts.metrics import Estimate
from leukoscope.core import checkout
from leukoscope.core.paths import inside
from leukoscope.evaluation.importance import GROUPS_FILE, IMAGES_FILE, PARTS_FILE
from leukoscope.report.evidence import Evidence, Result
from leukoscope.report.forest import Axis, axis_of
from leukoscope.report.pictures import picture_uri
from leukoscope.stats.metrics import CLASSES

CELLS = 5  # of each class
DIMENSIONS = {"backbone": "by backbone", "tap": "by layer", "colours": "by colours", "statistic": "by statistic"}
SINGULAR = {"backbone": "backbone", "tap": "layer"}
WORDS = {  # backbones and layers have names of their own
    "raw": "raw colours",
    "normalized": "normalized colours",
    "mean": "means of the maps",
    "deviation": "deviations of the maps",
    "maximum": "maxima of the maps",
    "cell": "statistics of the cell",
    "area": "area of the cell",
    "shape": "shape of the cell",
    "colour": "colour of the cell",
}


class Part(NamedTuple):
    """A part of the features in words, its columns, and what AUROC falls by, and to, where it is exchanged."""

    dimension: str
    words: str
    columns: int
    fall: Estimate
    left: float

    @property
    def named(self) -> str:
        """Its words in a sentence."""
        return self.words if self.words in WORDS.values() else f"{SINGULAR[self.dimension]} {self.words}"


class Moved(NamedTuple):
    """A cell: its class and subject, p(ALL) as it is and with the part exchanged, and its picture as a data URI."""

    name: str
    subject: str
    before: float
    after: float
    uri: str


class Carried(NamedTuple):
    """A row's parts, in the order of its columns; the groups that lose by the one that costs most, and its cells."""

    result: Result
    parts: list[Part]
    most: Part
    groups: pd.DataFrame
    moved: list[Moved]
    axis: Axis

    @property
    def dimensions(self) -> list[str]:
        """Along which the features were divided."""
        return list(dict.fromkeys(part.dimension for part in self.parts))

    @property
    def unshown(self) -> list[str]:
        """The parts whose loss is not shown to be above 0."""
        return [part.named for part in self.parts if part.fall.low is None or part.fall.low <= 0]

    @property
    def losing(self) -> int:
        """The groups whose mean p of the right class falls with the part that costs most."""
        return int((self.groups["fall"] > 0).sum())

    @property
    def hardest_hit(self) -> dict[str, Any]:
        """The group where it falls most: class, group, n, fall."""
        return {str(name): value for name, value in self.groups.iloc[0].items()}


def carried(evidence: Evidence) -> list[Carried]:
    """Of every row whose features have parts, under the protocol of the best honest result, which comes first."""
    best = evidence.best_honest
    if not best:
        return []
    rows = [result for (_, protocol), result in evidence.results.items() if protocol == best.protocol]
    found = [_carried(evidence, row) for row in sorted(rows, key=lambda row: row is not best) if not row.is_ensemble]
    return [row for row in found if row]


def _carried(evidence: Evidence, result: Result) -> Carried | None:
    table = result.importance(PARTS_FILE)
    if table.empty:
        return None
    table = table.astype(object).where(table.notna(), None)
    parts = [_part(row) for row in table.to_dict("records")]
    at = int(table["fall"].astype(float).argmax())
    chosen = table.iloc[at][["dimension", "part"]]
    groups, images = (_of(result.importance(file), chosen) for file in (GROUPS_FILE, IMAGES_FILE))
    moved = _moved(evidence, result, images)
    return Carried(result, parts, parts[at], groups, moved, axis_of(part.fall for part in parts))


def _part(row: Mapping[Any, Any]) -> Part:
    words = WORDS.get(row["part"], row["part"])
    return Part(row["dimension"], words, row["columns"], Estimate.of(row, "fall"), row["auroc_exchanged"])


def _of(table: pd.DataFrame, chosen: pd.Series) -> pd.DataFrame:
    return table[(table["dimension"] == chosen["dimension"]) & (table["part"] == chosen["part"])]


def _moved(evidence: Evidence, result: Result, exchanged: pd.DataFrame) -> list[Moved]:
    """The cells of each class whose p moves most, one of each subject."""
    rows = result.test_predictions().merge(exchanged, on="image_id").merge(evidence.images[["image_id", "file"]])
    rows = rows.assign(by=(rows["p_as_is"] - rows["p_exchanged"]).abs()).sort_values(
        ["by", "image_id"], ascending=False
    )
    shown = rows.drop_duplicates(["label", "subject"]).groupby("label").head(CELLS)
    folder, frame = evidence.root / checkout.IMAGE_FILES, result.decision.frame
    columns = shown[["label", "subject", "p_as_is", "p_exchanged", "file"]].itertuples(index=False, name=None)
    return [
        Moved(CLASSES[label], subject, before, after, picture_uri(inside(folder, file), frame))
        for label, subject, before, after, file in columns
    ]
