"""Figure 1: cells of the data at hand, one of each of a few subjects, at the scale that the models see."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from leukoscope.data.pack import frame_and_resize
from leukoscope.data.reading import read_rgb
from leukoscope.evaluation.metrics import CLASSES
from leukoscope.paths import inside

SUBJECTS = 6  # of each class
PIXELS = 168  # of a picture's side


class Sample(NamedTuple):
    """A cell: its class, whose it is, and its picture as a data URI."""

    name: str
    subject: str
    uri: str


def sample_cells(images: pd.DataFrame, folder: Path, frame: int) -> list[Sample]:
    """Cells of the training set, ALL first: of subjects evenly spaced in the order of their ids, each one's median.

    The median is by area. `images` is images.parquet, `folder` holds its files, `frame` is the side of the centre that
    is shown, in native pixels.
    """
    samples = []
    for label, name in CLASSES.items():
        known = images[(images["set"] == "train") & (images["label"] == label)].sort_values(["cell_area", "image_id"])
        subjects = sorted(known["subject"].unique())
        places = np.linspace(0, len(subjects) - 1, min(SUBJECTS, len(subjects))).round().astype(int)
        for subject in (subjects[place] for place in places):
            cells = known[known["subject"] == subject]
            uri = picture_uri(inside(folder, cells["file"].iloc[len(cells) // 2]), frame)
            samples.append(Sample(name, str(subject), uri))
    return samples


def picture_uri(path: Path, frame: int) -> str:
    """The centre `frame` pixels of an image file, PIXELS wide, as a data URI."""
    content = io.BytesIO()
    picture = frame_and_resize(read_rgb(path), frame, PIXELS)
    Image.fromarray(picture).save(content, format="JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
