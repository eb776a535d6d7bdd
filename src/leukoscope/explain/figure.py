"""A figure of one explained picture: the cell as it is beside its map, with p, the call and what the model is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from leukoscope.evaluation.figures import CLASS_COLOURS, GREY, ORANGE, STYLE
from leukoscope.explain.gradcam import overlay

SCALE_STEPS = 256
HEIGHT = 4.75  # inches
MARGIN = 0.15  # inches
MID_GREY = 110  # of the scale's ground, about a cell's


@dataclass(frozen=True)
class Caption:
    """The words around the pictures: the file's name, the answer in words, the numbers behind it, the model.

    `call` gives the answer its colour, None for a picture that is not called. `caution` is the warning to show
    prominently (`Decision.loud`); empty, it is left out.
    """

    name: str
    call: Literal["ALL", "hem"] | None
    answer: str
    numbers: str
    model: str
    caution: str = ""


def explanation_figure(
    picture: np.ndarray, heat: np.ndarray, caption: Caption, *more: tuple[str, np.ndarray]
) -> Figure:
    """A picture uint8 [h, w, 3] beside its map [h, w] in -1..1 laid over it in grey, and `more` titled maps."""
    panels = [("as the model sees it", picture), ("what speaks for each class", overlay(picture, heat))]
    panels += [(title, overlay(picture, other)) for title, other in more]
    with matplotlib.rc_context(STYLE):
        width = 0.9 + 3.3 * len(panels)
        figure = Figure(figsize=(width, HEIGHT))
        FigureCanvasAgg(figure)
        for number, (title, pixels) in enumerate(panels):
            axes = figure.add_axes(((0.15 + 3.3 * number) / width, 0.55 / HEIGHT, 3.15 / width, 3.15 / HEIGHT))
            axes.imshow(pixels, interpolation="nearest")
            axes.set_axis_off()
            axes.set_title(title, fontsize=9)
        _draw_scale(figure.add_axes((1 - 0.62 / width, 0.55 / HEIGHT, 0.14 / width, 3.15 / HEIGHT)))
        _write_around(figure, caption, width)
    return figure


def _draw_scale(axes: Axes) -> None:
    """The overlay's colours over an even grey, from all for hem to all for ALL."""
    strength = np.linspace(1, -1, SCALE_STEPS, dtype=np.float32)[:, None]
    ground = np.full((SCALE_STEPS, 1, 3), MID_GREY, np.uint8)
    axes.imshow(overlay(ground, strength), aspect="auto", extent=(0, 1, -1, 1))
    axes.yaxis.tick_right()
    axes.set_yticks([1, 0, -1], ["ALL", "none", "hem"])
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.set_xticks([])
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)


def _write_around(figure: Figure, caption: Caption, width: float) -> None:
    def write(at: float, text: str, *, indent: float = MARGIN, size: float = 8, **style: Any) -> float:
        """Write a line `at` inches from the bottom; returns where it ends, in inches."""
        written = figure.text(indent / width, at / HEIGHT, text, fontsize=size, va="center", **style)
        return float(written.get_window_extent().x1 / figure.dpi)

    write(4.45, caption.name, size=10, fontweight="bold")
    colour = CLASS_COLOURS[caption.call] if caption.call else GREY
    end = write(4.2, caption.answer, size=10, fontweight="bold", color=colour)
    write(4.2, caption.numbers, indent=end + MARGIN, size=9.5)
    write(0.36, caption.model, color=GREY)
    write(0.16, caption.caution, size=8.5, color=ORANGE, fontweight="bold")
