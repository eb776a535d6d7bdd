"""What the rows ask of the data: which packed arrays, how many views, and what each row's frozen features depend on.

A row has many settings and most concern its head alone. Writing down what the earlier stages need of it lets a change
of, say, a dropout rate rerun that row's training and nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

from leukoscope.config.params import Params
from leukoscope.config.rows import ModelSettings
from leukoscope.core.checkout import PLANNED_PICTURES
from leukoscope.core.files import new_folder, write_json

EMBEDDING_SETTINGS = (
    "backbone", "weights", "frame", "size", "taps", "beside", "views", "rotations", "pooling", "colours", "statistics",
)  # fmt: skip


class Pictures(TypedDict):
    """What pack and augment read: distinct [frame, size] pairs in ascending order, and the most views of any row."""

    packs: list[list[int]]
    views: int


def pictures(params: Params) -> Pictures:
    """The packed arrays and views that the rows of `params` need between them."""
    rows = params.rows().values()
    return {
        "packs": [list(pack) for pack in sorted({(row.frame, row.size) for row in rows})],
        "views": max(_views(row) for row in rows),
    }


def embedding(row: ModelSettings) -> dict[str, Any]:
    """What the frozen features of `row` depend on; finetune mode makes its own views and rotations of the pictures."""
    own = {} if row.mode == "frozen" else {"views": 0, "rotations": 1}
    settings = row.model_dump(mode="json")
    return {**{name: settings[name] for name in EMBEDDING_SETTINGS}, **own, "mode": row.mode}


def _views(row: ModelSettings) -> int:
    return row.views if row.mode == "frozen" else 0


def write_plan(params: Params, folder: Path) -> None:
    """Write pictures.json and one <row>.json for each row, replacing `folder`."""
    with new_folder(folder) as part:
        write_json(part / PLANNED_PICTURES.name, pictures(params))
        for name, row in params.rows().items():
            write_json(part / f"{name}.json", embedding(row))
