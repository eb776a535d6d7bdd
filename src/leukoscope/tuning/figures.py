"""A study as figures: how it went, what mattered, and where the good values lie."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from leukoscope.core.files import new_folder
from leukoscope.tuning.study import SCORE

if TYPE_CHECKING:
    import optuna
    from matplotlib.figure import Figure


FEWEST = 2  # complete trials: with one there is nothing to compare


def draw_study(study: optuna.Study, folder: Path) -> bool:
    """Write history, importance, slice and parallel_coordinate .png, replacing `folder`; false with too few trials."""
    from optuna.trial import TrialState

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < FEWEST or len({trial.value for trial in complete}) < FEWEST:
        return False
    import matplotlib
    import optuna.visualization.matplotlib as drawing
    from matplotlib import pyplot

    matplotlib.use("agg")
    figures: dict[str, tuple[Callable[..., object], Callable[[Figure], None], tuple[float, float]]] = {
        "history": (partial(drawing.plot_optimization_history, target_name=SCORE), _as_it_is, (8, 4.5)),
        "importance": (drawing.plot_param_importances, _without_legend, (8, 3.5)),
        "slice": (partial(drawing.plot_slice, target_name=SCORE), _as_it_is, (14, 4.5)),
        "parallel_coordinate": (partial(drawing.plot_parallel_coordinate, target_name=SCORE), _bar_aside, (12, 5.5)),
    }
    with new_folder(folder) as part, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls these functions experimental
        for name, (plot, mend, inches) in figures.items():
            plot(study)
            figure = pyplot.gcf()
            figure.set_size_inches(inches)
            mend(figure)
            figure.suptitle(study.study_name, x=0.02, y=1.02, ha="left", fontsize=9, color="#5F6368")
            figure.savefig(part / f"{name}.png", dpi=120, bbox_inches="tight")
            pyplot.close("all")
    return True


def _as_it_is(figure: Figure) -> None:
    pass


def _without_legend(figure: Figure) -> None:
    """It names the only thing that is drawn, and hides a bar's number."""
    legend = figure.axes[0].get_legend()
    if legend:
        legend.remove()


def _bar_aside(figure: Figure) -> None:
    """The colour bar stands on the last axis and its numbers: move it to their right."""
    bar = figure.axes[1]
    x, y, width, height = bar.get_position().bounds
    bar.set_position((x + 0.1, y, width, height))
