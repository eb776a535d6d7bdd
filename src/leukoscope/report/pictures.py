"""Figures as data URIs, small enough that a page may hold hundreds of them."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from leukoscope.config import Protocol
from leukoscope.evaluation.protocols import PROTOCOLS
from leukoscope.report import paper_tables
from leukoscope.report.evidence import Evidence

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
