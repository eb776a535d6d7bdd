"""`leukoscope explain`: Grad-CAM overlays of a registered model's answers, as pictures for a person to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np

from leukoscope.core.cautions import RESEARCH_USE
from leukoscope.core.errors import DataError
from leukoscope.core.progress import progress
from leukoscope.explain.explainer import Explained, load_explainer
from leukoscope.prediction.scoring import Prepared, Score, concluded, in_words, prepared_ahead
from leukoscope.prediction.sources import ImageFile, images_below
from leukoscope.registry.champion import Version
from leukoscope.registry.notices import named

if TYPE_CHECKING:
    from leukoscope.explain.figure import Caption
    from leukoscope.explain.gradcam import Explainer


SHUFFLES = 5  # models of a sanity check: a single one's map may lean either way


@dataclass(frozen=True)
class Drawn:
    """An image's answer, as `predict` gives it, and the PNG with its map.

    `random` is there after a sanity check: the mean rank correlation of the map with those of random models.
    """

    score: Score
    picture: Path
    random: float | None = None


@dataclass(frozen=True)
class Explanation:
    """What was `drawn` with a `version`, and a line for each image that does not read."""

    version: Version
    drawn: list[Drawn]
    unreadable: list[str]


def explain(
    paths: Sequence[Path], data_name: str, version: int | None, out: Path, *, sanity: bool = False
) -> Explanation:
    """Explain the images that `paths` name with the champion or another version; the PNGs go into `out`.

    Raises DataError for a path without images, RegistryError as `load_explainer` does.
    """
    with images_below(paths) as files:  # before TensorFlow starts, so that a mistyped path is told at once
        return explain_files(files, load_explainer(data_name, version), out, sanity=sanity)


def explain_files(files: Sequence[ImageFile], explained: Explained, out: Path, *, sanity: bool = False) -> Explanation:
    """Write a PNG into `out` for each readable image: the centre that the model sees, and its map next to it.

    With `sanity` it also holds a map of the same model with shuffled weights (Adebayo et al. 2018). A PNG is named
    after its image and the version's number; images of one name are numbered in their order.
    """
    shuffled = [explained.model.randomised(seed) for seed in range(SHUFFLES)] if sanity else []
    explanation = Explanation(explained, [], [])
    with progress("explaining", len(files), "images") as advance:
        found = prepared_ahead(files, explained)
        for one, target in zip(found, _targets(files, explained.version, out), strict=True):
            if isinstance(one, DataError):
                explanation.unreadable.append(str(one))
            else:
                explanation.drawn.append(_draw(one, explained, shuffled, target))
            advance(1)
    return explanation


def _draw(prepared: Prepared, explained: Explained, shuffled: Sequence[Explainer], target: Path) -> Drawn:
    """Explain a picture with the model and its shuffled copies, and write the PNG `target`."""
    from leukoscope.evaluation.figures import save
    from leukoscope.explain.figure import explanation_figure
    from leukoscope.explain.gradcam import rank_correlation

    framed = prepared.framed
    (heat,), (p_all,) = explained.model.explain(framed[None])
    score = concluded(prepared, float(p_all), explained)
    others = [model.heat_maps(framed[None])[0] for model in shuffled]
    more = [("with shuffled weights", other) for other in others[:1]]
    save(explanation_figure(framed, heat, caption(score, explained), *more), target)
    random = float(np.mean([rank_correlation(framed, heat, other) for other in others])) if others else None
    return Drawn(score, target, random)


def _targets(files: Sequence[ImageFile], version: str, out: Path) -> Iterator[Path]:
    """A name for the picture of each file that no other has."""
    seen: Counter[str] = Counter()
    for file in files:
        stem = file.path.stem
        seen[stem] += 1
        again = f"-{seen[stem]}" if seen[stem] > 1 else ""
        yield out / f"{stem}-version-{version}{again}.png"


def caption(score: Score, version: Version) -> Caption:
    """The words around the figure of an answer."""
    from leukoscope.explain.figure import Caption

    threshold = f", ALL above {version.threshold:.3f}" if score.call else ""
    return Caption(
        name=PurePath(score.file).name,
        call=score.call,
        answer=in_words(score),
        numbers=f"p(ALL) {score.p_all:.3f}{threshold}",
        model=f"{named(version.decision, version.version)}. Grad-CAM, each picture on its own scale. "
        f"{RESEARCH_USE.capitalize()}.",
        caution=version.decision.loud,
    )
