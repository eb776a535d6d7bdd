"""A picture of the augmentation: each operation that is on alone, and several views under all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from leukoscope.config.params import Augment
from leukoscope.core.files import new_file
from leukoscope.imaging.augmentation import apply_draw
from leukoscope.imaging.draws import Draw, draw, single_operations

COLUMNS = 5
VIEWS_SHOWN = 5


def draw_preview(picture: np.ndarray, sha256: str, settings: Augment, title: str, path: Path) -> None:
    """Write a PNG grid of a square uint8 picture: as it is, under each operation alone, and under whole draws."""
    cells = {"as it is": Draw(), **single_operations(settings)}
    cells |= {f"all together, view {view}": draw(settings, sha256, view) for view in range(1, VIEWS_SHOWN + 1)}
    rows = -(-len(cells) // COLUMNS)
    figure = Figure(figsize=(2 * COLUMNS, 2.25 * rows + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    axes = figure.subplots(rows, COLUMNS).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, (name, parameters) in zip(axes, cells.items(), strict=False):
        axis.imshow(apply_draw(picture, parameters, keep_black=settings.keep_black))
        axis.set_title(name, fontsize=9)
    with new_file(path) as part:
        figure.savefig(part, format="png", dpi=110, metadata={"Software": None})
