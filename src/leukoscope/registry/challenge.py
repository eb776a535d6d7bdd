"""Whether a candidate may take the champion's place: both are compared on groups that neither was trained on.

A champion of the same data, protocol and split is compared over all of them, since each fold tests groups that its own
model was not trained on. Any other champion has one figure here, that of the registered model, on the groups of which
it knows no picture and no subject; the candidate's there is out-of-fold. Where too few groups are left the two are not
comparable, and a person may promote with a reason.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from leukoscope.artifacts.decision import Decision
from leukoscope.artifacts.metrics import Estimate
from leukoscope.artifacts.predictions import labels_and_scores, read_predictions, side_of
from leukoscope.config.params import Evaluate
from leukoscope.core import checkout
from leukoscope.core.errors import DataError, RegistryError
from leukoscope.core.paths import inside
from leukoscope.core.text import with_interval
from leukoscope.evaluation.comparison import paired_auroc_gap
from leukoscope.imaging.framing import centre_frame
from leukoscope.imaging.reading import read_rgb
from leukoscope.registry import loading, versions
from leukoscope.registry.ranking import Candidate
from leukoscope.registry.versions import ChampionVersion
from leukoscope.stats.bootstrap import too_few_groups

NAME = "better than the champion"


@dataclass(frozen=True)
class Verdict:
    """One check of the gate: what was measured (None where it is undefined), what it is held against, and the words."""

    name: str
    passed: bool
    value: float | None
    bound: float | None
    verdict: str


def beats_champion(
    candidate: Candidate, champion: ChampionVersion | None, images: pd.DataFrame, settings: Evaluate
) -> Verdict:
    """Whether the candidate has a higher AUROC than the champion on groups that neither was trained on.

    `images` is that of `promotion.register`. The champion itself, and a data set without one, pass alike, so that a
    second run says what the first did.
    """
    if champion is None or champion.identity == candidate.decision.identity:
        return Verdict(NAME, True, candidate.auroc, None, "no other model is champion of this data set")
    if versions.measured_on(champion.tags) == candidate.decision.comparable:
        return _on_the_same_groups(candidate, champion)
    try:
        return _on_unseen_groups(candidate, champion, images, settings)
    except (DataError, RegistryError) as error:  # a file of the champion's, or a picture, that is gone
        return _not_comparable(candidate, str(error))


def _on_the_same_groups(candidate: Candidate, champion: ChampionVersion) -> Verdict:
    why_not = candidate.measured.interval_reason
    if "auroc" not in champion.tags:  # promoted by hand, from a side of one class
        why_not = f"the champion, {champion.tags['row']}, has no AUROC"
    if why_not:
        return _not_comparable(candidate, why_not)
    return _compared(candidate.auroc, float(champion.tags["auroc"]), f"the champion, {champion.tags['row']}")


def _on_unseen_groups(
    candidate: Candidate, champion: ChampionVersion, images: pd.DataFrame, settings: Evaluate
) -> Verdict:
    row = champion.tags["row"]
    before = f"the champion, {row}, was measured on other data, another protocol or another split"
    if candidate.side != "test":
        return _not_comparable(candidate, f"{before}, and {candidate.row} on the side that chose its epochs")
    model = loading.load_champion(champion.tags["data_name"], champion.version)
    tested = side_of(read_predictions(candidate.results), "test")
    tested = tested[tested["group"].isin(unseen_groups(images, model.decision))].sort_values("image_id")
    y, p = labels_and_scores(tested)
    if few := too_few_groups(y, tested["group"]):
        return _not_comparable(candidate, f"{before}; of groups that neither model was trained on there are {few}")
    file = dict(zip(images["image_id"], images["file"], strict=True))
    frame = model.frame
    framed = (
        centre_frame(read_rgb(inside(checkout.IMAGE_FILES, file[image_id])), frame) for image_id in tested["image_id"]
    )
    gap = paired_auroc_gap(y, p, np.fromiter(model.model.p_all(framed), np.float64), tested["group"], settings)
    words = (
        f"the champion, {row}, on {len(tested)} images of {tested['group'].nunique()} groups that neither was trained "
        f"on (difference {with_interval(Estimate.of(gap, 'gap'), '{:+.4f}'.format)})"
    )
    return _compared(gap["auroc_a"], gap["auroc_b"], words)


def unseen_groups(images: pd.DataFrame, decision: Decision) -> set[str]:
    """The groups of `images` (group, subject, sha256) that the model of decision.json was not trained on.

    It was trained on a group if on one of its pictures, by their SHA-256, or on one of its subjects, whose pictures may
    have been saved anew.
    """
    seen = images["sha256"].isin(list(decision.training_images))
    seen |= images["subject"].isin(decision.training_subjects)
    return set(images["group"].dropna()) - set(images.loc[seen, "group"].dropna())


def _compared(value: float | None, bound: float, against: str) -> Verdict:
    passed = value is not None and value > bound
    words = f"AUROC {shown(value)} is {'' if passed else 'not '}above {shown(bound)} of {against}"
    return Verdict(NAME, passed, value, bound, words)


def _not_comparable(candidate: Candidate, why_not: str) -> Verdict:
    words = f"not comparable: {why_not}; to replace it, compare them yourself and run uv run leukoscope promote"
    return Verdict(NAME, False, candidate.auroc, None, f"{words} VERSION --reason '...'")


def shown(value: float | None) -> str:
    """An AUROC or a sensitivity to four digits."""
    return "undefined" if value is None else f"{value:.4f}"
