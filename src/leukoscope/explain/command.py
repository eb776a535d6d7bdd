"""Explaining images with a registered model: Grad-CAM overlays as pictures for a person to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from leukoscope.core.errors import DataError
from leukoscope.core.progress import progress
from leukoscope.explain.explainer import Explained
from leukoscope.imaging.framing import centre_frame
from leukoscope.imaging.reading import read_rgb
from leukoscope.registry.notices import named

if TYPE_CHECKING:
    from leukoscope.explain.figure import Caption


RANDOM = "random"  # the column of a sanity check
SHUFFLES = 5  # models that it draws: a single one's map may lean either way


@dataclass
class Explanation:
    """One row for each image that reads (`table`: file, p_all, call, version, picture), a line for each that does not.

    After a sanity check `table` has a column RANDOM besides: the mean rank correlation with random models' maps.
    """

    table: pd.DataFrame
    unreadable: list[str] = field(default_factory=list)


def explain(files: Sequence[Path], explained: Explained, out: Path, *, sanity: bool = False) -> Explanation:
    """Write a PNG into `out` for each readable image: the centre that the model sees, beside its map.

    With `sanity` it holds a map of the same model with shuffled weights too (Adebayo et al. 2018). A PNG is called
    as its image with the version's number; images of one name are numbered in their order.
    """
    from leukoscope.evaluation.figures import save
    from leukoscope.explain.figure import explanation_figure
    from leukoscope.explain.gradcam import rank_correlation

    frame, threshold = explained.decision.frame, explained.decision.pooled.threshold
    shuffled = [explained.model.randomised(seed) for seed in range(SHUFFLES)] if sanity else []
    rows: list[dict[str, Any]] = []
    unreadable: list[str] = []
    with progress("explaining", len(files), "images") as advance:
        for file, target in zip(files, _targets(files, explained.version, out), strict=True):
            framed = _framed(file, frame, unreadable)
            if framed is not None:
                (heat,), (p_all,) = explained.model.explain(framed[None])
                call = "ALL" if p_all > threshold else "hem"
                row = {"file": str(file), "p_all": float(p_all), "call": call, "version": explained.version}
                more = []
                if shuffled:
                    others = [model.heat_maps(framed[None])[0] for model in shuffled]
                    row[RANDOM] = float(np.mean([rank_correlation(framed, heat, other) for other in others]))
                    more = [("with shuffled weights", others[0])]
                caption = _caption(file, call, float(p_all), explained)
                save(explanation_figure(framed, heat, caption, *more), target)
                rows.append({**row, "picture": str(target)})
            advance(1)
    return Explanation(pd.DataFrame(rows), unreadable)


def _framed(file: Path, frame: int, unreadable: list[str]) -> np.ndarray | None:
    try:
        return centre_frame(read_rgb(file), frame)
    except DataError as error:
        unreadable.append(str(error))
        return None


def _targets(files: Sequence[Path], version: str, out: Path) -> Iterator[Path]:
    """A name for the picture of each file that no other has."""
    seen: Counter[str] = Counter()
    for file in files:
        seen[file.stem] += 1
        again = f"-{seen[file.stem]}" if seen[file.stem] > 1 else ""
        yield out / f"{file.stem}-version-{version}{again}.png"


def _caption(file: Path, call: str, p_all: float, explained: Explained) -> Caption:
    from leukoscope.explain.figure import Caption

    threshold = explained.decision.pooled.threshold
    numbers = f"p(ALL) {p_all:.3f}, ALL above {threshold:.3f}"
    about = (
        f"{named(explained.decision, explained.version)}. Grad-CAM, each picture on its own scale. Research use only."
    )
    return Caption(file.name, call, numbers, about, explained.decision.loud)


def explain_command(
    paths: Sequence[Path], data_name: str, version: int | None, out: Path, say: Callable[..., None], *, sanity: bool
) -> None:
    """Explain the images that `paths` name; `say` is called with each line for a person, `err` true for notes.

    Raises DataError where none of them can be read, RegistryError as `explainer.load_explainer` does.
    """
    from leukoscope.explain import explainer
    from leukoscope.prediction.sources import images_below

    with images_below(paths) as found:
        files = [one.path for one in found]
        explained = explainer.load_explainer(data_name, version)
        explanation = explain(files, explained, out, sanity=sanity)
    for line in explanation.unreadable:
        say(f"not explained: {line}", err=True)
    if explanation.table.empty:
        raise DataError(f"none of the {len(files)} images could be read")
    say(explanation.table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    for line in _notes(explanation, explained):
        say(line, err=True)


def _notes(explanation: Explanation, explained: Explained) -> Iterator[str]:
    """What a reader of the pictures must know."""
    decision = explained.decision
    if RANDOM in explanation.table:
        yield (
            f"sanity: over the cell, the maps' ranks correlate by {explanation.table[RANDOM].mean():.2f} in the mean "
            f"with those of the same model with shuffled weights, {SHUFFLES} times over; near 1 they would show the "
            f"picture and not what was learned"
        )
    if not decision.is_ensemble and (statistics := decision.row_settings.statistics):
        yield f"p also rests on the cell's {', '.join(statistics)}, which no map shows"
    yield f"model: {named(explained.decision, explained.version)}; {decision.loud or 'research use only'}"
