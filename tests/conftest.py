"""Image sets that several tests share: tables as validate writes them, and pictures of simple cells."""

import hashlib

import numpy as np
import pandas as pd
import pytest


def image_table(subjects: dict[str, int], per_subject: int = 6, set_: str = "train") -> pd.DataFrame:
    """A table as in images.parquet: `per_subject` images of every subject, whose label `subjects` gives."""
    rows = [
        {
            "image_id": f"{set_}-{subject}-{number:03d}",
            "file": f"{subject}/{number}.png",
            "set": set_,
            "fold": pd.NA,
            "label": label,
            "subject": subject,
            "group": subject,
            "sha256": hashlib.sha256(f"{set_}{subject}{number}".encode()).hexdigest(),
            "phash": "0" * 16,
            "duplicate_of": None,
            "width": 450,
            "height": 450,
            "cell_area": 20_000.0 + 4_000 * label + 10 * number,
            "colour": [80.0, 30.0, 100.0],
        }
        for subject, label in subjects.items()
        for number in range(per_subject)
    ]
    table = pd.DataFrame(rows).astype({"label": "Int8", "fold": "Int8"})
    table["duplicate_of"] = table["duplicate_of"].astype("str").where(table["duplicate_of"].notna())
    return table.sort_values("image_id", ignore_index=True)


def twenty_subjects(per_subject: int = 6) -> pd.DataFrame:
    """Twelve subjects with leukemia and eight without."""
    return image_table({str(number): 1 for number in range(12)} | {f"H{number}": 0 for number in range(8)}, per_subject)


@pytest.fixture
def images() -> pd.DataFrame:
    return twenty_subjects()


@pytest.fixture
def cell() -> np.ndarray:
    """A lopsided cell with texture on black, uint8 [224, 224, 3]."""
    y, x = np.mgrid[:224, :224].astype(float)
    inside = ((x - 118) / 62) ** 2 + ((y - 104) / 48) ** 2 + 0.3 * ((x - y) / 90) < 1
    texture = 12 * np.sin(x / 9) * np.cos(y / 7)
    colour = np.stack([90 + texture, 40 + 0.5 * texture, 110 + texture], axis=-1)
    return np.where(inside[..., None], colour, 0).astype(np.uint8)
