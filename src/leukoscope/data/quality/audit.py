"""What the stage validate found of pictures that are there more than once, read from reports/validation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from leukoscope.core.errors import DataError
from leukoscope.data.quality.duplicates import KINDS


class Pairs(NamedTuple):
    """The pairs of one kind: its meaning, their number, and how many of them join different subjects."""

    kind: str
    meaning: str
    number: int
    between_subjects: int


@dataclass(frozen=True)
class Audit:
    """Pairs of pictures that show the same, and the groups of subjects that share no picture.

    `groups` counts them by class; `joined` has the subjects of each group of more than one. `file` lists every pair.
    """

    images: int
    pairs: tuple[Pairs, ...]
    groups: dict[str, int]
    joined: tuple[tuple[str, ...], ...]
    file: Path


def audit(reports: Path) -> Audit:
    """Read the audit below `reports`. Raises DataError if the stage validate has not run."""
    folder = reports / "validation"
    try:
        facts = json.loads((folder / "validation.json").read_text(encoding="utf-8"))
        pairs = pd.read_csv(folder / "duplicates.csv", dtype=str, keep_default_na=False)
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} is missing: run dvc repro validate") from None
    return Audit(
        images=facts["images"],
        pairs=tuple(_of_kind(pairs[pairs["kind"] == kind], kind) for kind in KINDS),
        groups=facts["groups"],
        joined=tuple(tuple(subjects.split("+")) for subjects in facts["joined"]),
        file=folder / "duplicates.csv",
    )


def _of_kind(pairs: pd.DataFrame, kind: str) -> Pairs:
    between = int((pairs["first_subject"] != pairs["second_subject"]).sum())
    return Pairs(kind, KINDS[kind], len(pairs), between)
