"""Pictures as data URIs, small enough that a page may hold hundreds of them: figures, and cells of the data at hand."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from leukoscope.config.rows import Protocol
from leukoscope.core.paths import inside
from leukoscope.evaluation.protocols import PROTOCOLS
from leukoscope.imaging.framing import frame_and_resize
from leukoscope.imaging.reading import read_rgb
from leukoscope.report import paper_tables
from leukoscope.report.evidence import Evidence
from leukoscope.stats.metrics import CLASSES

FIGURE_TITLES = {
    "confusion": "confusion matrix of the test images",
    "accuracy": "accuracy per epoch",
    "loss": "loss per epoch",
    "roc": "ROC curve",
    "subjects": "accuracy of each test subject",
    "calibration": "calibration",
}
FIGURES_OF_TRAINING = ("accuracy", "loss")

COLOURS = 64  # of a figure's palette: line drawings lose nothing that the eye sees and shrink to a third


def data_uris(paths: Sequence[Path]) -> list[str]:
    """PNG figures as data URIs, in order, made on all cores; the same bytes for the same figures."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(_data_uri, paths))


def _data_uri(path: Path) -> str:
    with Image.open(path) as picture:
        reduced = picture.convert("RGB").quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    content = io.BytesIO()
    reduced.save(content, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


class Drawn(NamedTuple):
    """A figure of a row's result: its caption and its picture as a data URI."""

    caption: str
    uri: str


def drawn_figures(evidence: Evidence) -> dict[tuple[str, Protocol], list[Drawn]]:
    """The figures of each row and protocol, with the study's number in the caption where it has the same one."""
    captions: list[tuple[tuple[str, Protocol], str]] = []
    paths: list[Path] = []
    for (row, protocol), result in evidence.results.items():
        for name, title in FIGURE_TITLES.items():
            if result.is_ensemble and name in FIGURES_OF_TRAINING:
                continue
            number = paper_tables.FIGURES.get((row, name))
            caption = f"{result.marked_row}, {PROTOCOLS[protocol].title}: {title}"
            if number:
                caption = f"As figure {number} of the study{', not a reproduction' * bool(result.differs)}. {caption}"
            captions.append(((row, protocol), caption))
            paths.append(result.folder / "figures" / f"{name}.png")
    drawn: dict[tuple[str, Protocol], list[Drawn]] = {key: [] for key in evidence.results}
    for (key, caption), uri in zip(captions, data_uris(paths), strict=True):
        drawn[key].append(Drawn(caption, uri))
    return drawn


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
