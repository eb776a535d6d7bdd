"""What the data are, counted from images.parquet: sets, classes, subjects, groups and copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from leukoscope.stats.metrics import CLASSES

SET_TITLES = {"train": "training", "prelim": "preliminary test", "final": "final test"}


def set_counts(images: pd.DataFrame) -> list[dict[str, Any]]:
    """One entry per set and class: set, class, images, subjects, groups. Unknown subjects and groups are None."""
    named = images["label"].map(CLASSES).astype("str").where(images["label"].notna(), "not labelled")
    counts = []
    for name, title in SET_TITLES.items():
        for label in (*CLASSES.values(), "not labelled"):
            rows = images[(images["set"] == name) & (named == label)]
            if len(rows):
                known = {column: int(rows[column].nunique()) or None for column in ("subject", "group")}
                counts.append(
                    {
                        "set": title,
                        "class": label,
                        "images": len(rows),
                        "subjects": known["subject"],
                        "groups": known["group"],
                    }
                )
    return counts


def joined_subjects(images: pd.DataFrame) -> list[list[str]]:
    """The subjects of every group that holds more than one, since they share an image; largest group first."""
    labelled = images[images["group"].notna() & images["subject"].notna()]
    groups = [sorted(map(str, subjects)) for subjects in labelled.groupby("group")["subject"].unique()]
    return sorted((subjects for subjects in groups if len(subjects) > 1), key=lambda group: (-len(group), group))


def copies(images: pd.DataFrame) -> dict[str, int]:
    """How many images are later copies of another: `identical` in bytes, or `near` (one picture, other bytes)."""
    copied = images[images["duplicate_of"].notna()]
    first = images.set_index("image_id")["sha256"].reindex(copied["duplicate_of"])
    identical = int((copied["sha256"].to_numpy() == first.to_numpy()).sum())
    return {"identical": identical, "near": len(copied) - identical}


def read_pairs(path: Path) -> pd.DataFrame:
    """duplicates.csv, the pairs of images that show the same cell, as text; `kind` says how alike they are."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)
