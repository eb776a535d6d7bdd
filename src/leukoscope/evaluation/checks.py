"""What evaluation refuses: a model of other images, images that it was trained on, rows that cannot be compared."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from leukoscope.artifacts.decision import About, Decision
from leukoscope.core.errors import RegistryError, SplitError


def refuse_other_data(decision: Decision, about: About) -> None:
    """Raise SplitError if a model was trained on other images or another split than `about` (`RowInputs.about`) has."""
    other = [
        what
        for what, of_model, here in (
            ("other images", decision.data.hash, about.data.hash),
            ("another split", decision.split_hash, about.split_hash),
        )
        if of_model != here
    ]
    if other:
        raise SplitError(
            f"the model of {decision.row}-{decision.protocol} was trained on {' and '.join(other)}: run dvc "
            f"repro to train it on these"
        )


def refuse_seen_images(decision: Decision, split: pd.DataFrame, images: pd.DataFrame) -> None:
    """Raise SplitError if a fold's model was trained on a picture that the fold tests, under an honest protocol."""
    if not decision.honest:
        return
    sha256 = images.set_index("image_id")["sha256"]
    for fold, rows in split[split["side"] == "test"].groupby("fold"):
        trained = decision.trained_by(str(fold))
        seen = [image_id for image_id in rows["image_id"] if sha256[image_id] in trained]
        if seen:
            raise SplitError(
                f"the model of {decision.row}-{decision.protocol}, fold {fold}, was trained on {len(seen)} of "
                f"the images that it would be tested on, {seen[0]} first: run dvc repro to train it on this split"
            )


def refuse_different_images(decisions: Mapping[str, Decision], done: str) -> None:
    """Raise RegistryError, with what was to be `done`, unless all named decisions are `comparable`."""
    first, *others = decisions
    for other in others:
        for what, shared in decisions[first].comparable.items():
            if decisions[other].comparable[what] != shared:
                raise RegistryError(
                    f"{other} and {first} are over different {what}, so they cannot be {done}: run uv run dvc repro"
                )
