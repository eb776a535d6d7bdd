"""The figures of a row's result: the paper's figures 3 to 8, and what it left out.

Every function takes what it draws and a `Heading`, and returns a matplotlib Figure; nothing touches pyplot's global
state or the user's matplotlibrc. `save` writes the same bytes for the same figure. Colours are from Okabe and Ito's
palette, which colour-blind readers can tell apart; the classes differ in marker or position besides.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from leukoscope.artifacts.metrics import Estimate, Side
from leukoscope.artifacts.predictions import labels_and_scores, side_of
from leukoscope.config.params import Evaluate
from leukoscope.config.rows import Protocol
from leukoscope.core.files import new_file
from leukoscope.core.text import NOT_DEFINED
from leukoscope.evaluation.protocols import PROTOCOLS
from leukoscope.evaluation.results import scaled_scores, subject_table
from leukoscope.stats.bootstrap import Resamples, resample
from leukoscope.stats.metrics import CLASSES, ECE_BINS, Labels, Scores, calibration_bin
from leukoscope.stats.points import OperatingPoint
from leukoscope.stats.resampled import bin_share_resamples

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#5F6368"
CLASS_COLOURS = {"ALL": ORANGE, "hem": BLUE}
CLASS_MARKERS = {"ALL": "o", "hem": "s"}
HISTOGRAM_BINS = 25
AT_THE_TOP: Any = {
    "xycoords": ("data", "axes fraction"),
    "textcoords": "offset points",
    "va": "top",
    "fontsize": 8,
    "color": GREY,
}
DOT: Any = {"alpha": 0.85, "edgecolor": "white", "linewidth": 0.6, "clip_on": False, "zorder": 3}
STYLE: Any = {
    **{key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"},
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titlecolor": GREY,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": 150,
    "savefig.dpi": 150,
    "svg.hashsalt": "leukoscope",
}


@dataclass(frozen=True)
class Heading:
    """What stands over a figure: the row, its protocol, and a note on what the numbers are not (synthetic cells)."""

    row: str
    protocol: Protocol
    note: str = ""


P = ParamSpec("P")


def _figure(
    width: float, height: float
) -> Callable[[Callable[Concatenate[Figure, P], str]], Callable[Concatenate[Heading, P], Figure]]:
    """Turn a function that draws into an empty figure and returns its subtitle into one that takes a Heading."""

    def decorate(draw: Callable[Concatenate[Figure, P], str]) -> Callable[Concatenate[Heading, P], Figure]:
        @wraps(draw)
        def drawn(heading: Heading, /, *args: P.args, **kwargs: P.kwargs) -> Figure:
            with matplotlib.rc_context(STYLE):
                figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))
                FigureCanvasAgg(figure)
                subtitle = draw(figure, *args, **kwargs)
                _head(figure, heading, subtitle)
                return figure

        return drawn

    return decorate


def _fill(text: str, figure: Figure, points: float) -> str:
    """Wrap text of this size to the figure's width; DejaVu's bold letters are some 0.67 of their size wide."""
    return textwrap.fill(text, int((figure.get_figwidth() - 0.2) * 72 / (0.67 * points)))


def _head(figure: Figure, heading: Heading, subtitle: str) -> None:
    title = f"{_fill(heading.row, figure, 11)}\n{_fill(PROTOCOLS[heading.protocol].title, figure, 11)}"
    figure.suptitle(title, x=0.02, ha="left", fontsize=11, fontweight="bold")
    figure.axes[0].set_title(_fill(subtitle, figure, 8.5), fontsize=8.5)
    if heading.note:
        note = _fill(heading.note, figure, 8.5)
        figure.supxlabel(note, x=0.02, ha="left", fontsize=8.5, color=ORANGE, fontweight="bold")


def save(figure: Figure, target: Path | str) -> None:
    """Write a figure as PNG, whole or not at all, without a version or date in its bytes."""
    with matplotlib.rc_context(STYLE), new_file(target) as part:
        figure.savefig(part, format="png", metadata={"Software": None})


def _in_words(estimate: Estimate, level: float) -> str:
    # Not `with_interval`: a figure is also seen alone, so its title says what the interval is.
    value, low, high, reason = estimate
    if value is None:
        return NOT_DEFINED
    if low is None or high is None:
        return f"{value:.3f} (no interval: {reason})"
    return f"{value:.3f} ({level:.0%} interval {low:.3f} to {high:.3f})"


@_figure(4.8, 5.0)
def confusion_figure(figure: Figure, side: Side) -> str:
    """The confusion matrix at p > 0.5 of one side of metrics.json, with the share of each actual class."""
    counts = side.confusion
    cells = np.array([[counts["tp"], counts["fn"]], [counts["fp"], counts["tn"]]])
    shares = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(cells):
        colour = "white" if shares[row, column] > 0.6 else "black"
        axes.text(column, row - 0.06, f"{count:,}", ha="center", va="center", fontsize=17, color=colour)
        axes.text(column, row + 0.14, f"{shares[row, column]:.1%}", ha="center", va="center", color=colour)
    names = list(CLASSES.values())
    axes.set_xticks([0, 1], names)
    axes.set_yticks([0, 1], names)
    axes.set(xlabel="called (p > 0.5)", ylabel="actual")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return f"test, {side.n:,} images; accuracy {side.estimate('accuracy').value:.1%}"


def _per_epoch(figure: Figure, history: pd.DataFrame, name: str) -> Axes:
    """One thin line per fold, and their mean bold up to the last epoch of them all: beyond it a mean would jump."""
    axes = figure.add_subplot()
    epochs = history["epoch"]
    for column, label, colour in ((name, "train", BLUE), (f"val_{name}", "validation", ORANGE)):
        folds = history.pivot(index="epoch", columns="fold", values=column)
        marker = "o" if len(folds) < 4 else ""
        mean = folds.mean(axis=1, skipna=False).dropna()
        if folds.shape[1] > 1:
            axes.plot(folds.index, folds.to_numpy(), color=colour, linewidth=0.8, alpha=0.4)
            label = f"{label}, mean of folds"
        axes.plot(mean.index, mean, color=colour, linewidth=2.2, marker=marker, label=label)
    head_epochs = epochs[history["all_layers"] == 0].max()
    if head_epochs < epochs.max():
        axes.axvline(head_epochs + 0.5, color=GREY, linewidth=1, linestyle=":")
        axes.annotate("all layers", (head_epochs + 0.5, 1), (4, -4), **AT_THE_TOP)
    axes.set_xlim(epochs.min() - 0.5, epochs.max() + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch", loc="left")
    axes.margins(y=0.08)
    axes.legend(loc="upper right", bbox_to_anchor=(1, -0.085), ncols=2, borderaxespad=0)  # below: it hides no line
    return axes


def _folds_text(history: pd.DataFrame) -> str:
    folds = history["fold"].nunique()
    return f"; thin lines are the {folds} folds" if folds > 1 else ""


@_figure(6.0, 4.6)
def accuracy_figure(figure: Figure, history: pd.DataFrame) -> str:
    """Accuracy per epoch from history.csv (columns fold, epoch, all_layers, accuracy, val_accuracy)."""
    axes = _per_epoch(figure, history, "accuracy")
    axes.set_ylabel("accuracy")
    axes.yaxis.set_major_formatter("{x:.2f}")
    return f"accuracy per epoch{_folds_text(history)}"


@_figure(6.0, 4.6)
def loss_figure(figure: Figure, history: pd.DataFrame) -> str:
    """Loss per epoch from history.csv (columns fold, epoch, all_layers, loss, val_loss), with the head's penalties."""
    axes = _per_epoch(figure, history, "loss")
    axes.set_ylabel("loss")
    values = history[["loss", "val_loss"]].to_numpy()
    if values.min() > 0 and values.max() > 20 * values.min():
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    return f"loss per epoch, penalties included{_folds_text(history)}"


@_figure(5.2, 5.6)
def roc_figure(figure: Figure, predictions: pd.DataFrame, side: Side) -> str:
    """The ROC curve of the pooled test predictions, each fold thin; the title has the area's interval."""
    rows = side_of(predictions, "test")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)), label="no skill")
    folds = [fold for _, fold in rows.groupby("fold") if fold["label"].nunique() == 2]
    for number, fold in enumerate(folds if len(folds) > 1 else []):
        fpr, tpr, _ = roc_curve(*labels_and_scores(fold))
        axes.plot(fpr, tpr, color=BLUE, linewidth=0.8, alpha=0.4, label=None if number else "folds")
    if rows["label"].nunique() == 2:
        fpr, tpr, _ = roc_curve(*labels_and_scores(rows))
        axes.plot(fpr, tpr, color=BLUE, linewidth=2.2, label="pooled" if len(folds) > 1 else "test")
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.legend(loc="lower right")
    return f"AUROC {_in_words(side.estimate('auroc'), side.interval_level)}"


@_figure(6.4, 4.6)
def subjects_figure(figure: Figure, subjects: pd.DataFrame) -> str:
    """Each test subject's accuracy at p > 0.5 (from `subject_table`), sorted by class; a dot's area grows with n."""
    axes = figure.add_subplot()
    start, ticks, spread = 0, [], []
    for name in CLASSES.values():
        table = subjects[subjects["class"] == name]
        if table.empty:
            continue
        places = start + np.arange(len(table))
        size = np.clip(table["n"].to_numpy() / subjects["n"].max() * 150, 12, None)
        colour, marker = CLASS_COLOURS[name], CLASS_MARKERS[name]
        axes.scatter(places, table["accuracy"], s=size, color=colour, marker=marker, **DOT)
        axes.hlines(table["accuracy"].mean(), start - 0.5, places[-1] + 0.5, color=colour, linewidth=1.5)
        ticks.append((places.mean(), f"{name}\n{len(table)} subjects"))
        spread.append(f"{name} mean {table['accuracy'].mean():.2f}, lowest {table['accuracy'].min():.2f}")
        start = places[-1] + 3
    axes.set_xticks([place for place, _ in ticks], [text for _, text in ticks])
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False, axis="x")
    axes.set(ylabel="accuracy over the subject's images", ylim=(-0.02, 1.02))
    return f"test subjects: {'; '.join(spread)}"


@_figure(5.2, 5.8)
def calibration_figure(
    figure: Figure,
    predictions: pd.DataFrame,
    side: Side,
    folds: Mapping[str, OperatingPoint],
    settings: Evaluate,
) -> str:
    """The share of ALL against mean p of the pooled test predictions, as they are and after scaling, over p's counts.

    A dot is one of 15 bins that hold equally many images, a line the interval of its share over resampled groups, where
    no resample leaves the bin empty; `folds` is decision.json's, with each fold's scaling.
    """
    rows = side_of(predictions, "test")
    y, p = labels_and_scores(rows)
    resamples = resample(y, rows["group"], settings)
    scaled = scaled_scores(rows, folds)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    upper.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)), label="perfect")
    for label, scores, colour, marker in (("as it is", p, BLUE, "o"), ("after scaling", scaled, GREEN, "s")):
        mean_p, share, lows, highs = _reliability(y, scores, resamples)
        upper.vlines(mean_p, lows, highs, color=colour, linewidth=2.5, alpha=0.25)
        upper.plot(mean_p, share, color=colour, linewidth=1.2, alpha=0.6)
        upper.scatter(mean_p, share, color=colour, marker=marker, s=36, zorder=3, clip_on=False, label=label)
    upper.set(ylabel="share that is ALL", ylim=(-0.02, 1.02), xlim=(-0.01, 1.01))
    upper.legend(loc="upper left")
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    lower.hist(p, edges, color=BLUE, alpha=0.35)
    lower.hist(scaled, edges, histtype="step", color=GREEN, linewidth=1.2)
    lower.set(xlabel="p(ALL)", ylabel="images")
    lower.yaxis.set_major_locator(MaxNLocator(nbins=2, integer=True))
    before, after = (_in_words(side.calibration(stage, "ece"), settings.level) for stage in ("raw", "scaled"))
    return f"calibration error {before}; after scaling {after}"


def _reliability(y: Labels, p: Scores, resamples: Resamples) -> tuple[NDArray[np.float64], ...]:
    """Of each bin that holds any image the mean p, the share of ALL, and its interval, NaN where there is none."""
    bins = calibration_bin(p)
    count = np.bincount(bins, minlength=ECE_BINS)
    filled = np.flatnonzero(count)
    mean_p, share = (np.bincount(bins, weights=of, minlength=ECE_BINS)[filled] / count[filled] for of in (p, y))
    intervals = [resamples.interval(of_bin) for of_bin in bin_share_resamples(y, bins, resamples)[:, filled].T]
    lows, highs = np.array(intervals, dtype=np.float64).T
    return mean_p, share, lows, highs


def write_figures(
    folder: Path,
    heading: Heading,
    predictions: pd.DataFrame,
    history: pd.DataFrame | None,
    test: Side,
    folds: Mapping[str, OperatingPoint],
    settings: Evaluate,
) -> None:
    """Write confusion, roc, subjects and calibration .png into `folder`, and accuracy and loss .png of a `history`.

    `history` is history.csv, `test` what `results.summarise` measured of the same predictions, `folds` decision.json's.
    """
    drawn = {
        "confusion": confusion_figure(heading, test),
        "roc": roc_figure(heading, predictions, test),
        "subjects": subjects_figure(heading, subject_table(predictions)),
        "calibration": calibration_figure(heading, predictions, test, folds, settings),
    }
    if history is not None:
        drawn |= {"accuracy": accuracy_figure(heading, history), "loss": loss_figure(heading, history)}
    for name, figure in drawn.items():
        save(figure, folder / f"{name}.png")
