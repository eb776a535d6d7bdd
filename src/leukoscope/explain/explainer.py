"""A registered version opened for explanations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leukoscope.registry.champion import Version
from leukoscope.registry.files import MODEL_FILE
from leukoscope.registry.loading import load_version
from leukoscope.tracking.store import answering

if TYPE_CHECKING:
    from leukoscope.explain.gradcam import Explainer


@dataclass(frozen=True)
class Explained(Version):
    """A registered version whose model is opened for explanations."""

    model: Explainer = field(kw_only=True)


@answering()
def load_explainer(data_name: str, version: int | str | None = None) -> Explained:
    """The champion, or the version that is named, with its saved Keras model opened for Grad-CAM.

    Loads TensorFlow. Raises RegistryError as `load_champion` does, and DataError for a model that asks for code to be
    run.
    """
    from leukoscope.explain.gradcam import Explainer
    from leukoscope.features.keras_loading import load_saved

    known, folder = load_version(data_name, version)
    model = Explainer(load_saved(folder / MODEL_FILE))
    return Explained(known.decision, known.version, known.training, model=model)
