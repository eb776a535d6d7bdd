"""A registered version opened for explanations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leukoscope.artifacts.decision import Decision
from leukoscope.registry.files import MODEL_FILE
from leukoscope.registry.loading import fetched
from leukoscope.tracking.store import answering

if TYPE_CHECKING:
    from leukoscope.explain.gradcam import Explainer


@dataclass(frozen=True)
class Explained:
    """A registered model opened for explanations, with what its validation decided (decision.json) and its version."""

    model: Explainer
    decision: Decision
    version: str


@answering()
def load_explainer(data_name: str, version: int | str | None = None) -> Explained:
    """The same version's saved Keras model, opened for Grad-CAM, with its decision and its number.

    Loads TensorFlow. Raises RegistryError as `load_champion` does, and DataError for a model that asks for code to be
    run.
    """
    from leukoscope.explain.gradcam import Explainer
    from leukoscope.features.keras_loading import load_saved

    folder, decision, chosen = fetched(data_name, version)
    return Explained(Explainer(load_saved(folder / MODEL_FILE)), decision, chosen.version)
