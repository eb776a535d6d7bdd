"""Explaining images with a registered model: Grad-CAM overlays as pictures for a person to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leukoscope.evaluation.explanations import Explainer


@dataclass(frozen=True)
class Explained:
    """A registered model opened for explanations, with what its validation decided (decision.json) and its version."""

    model: Explainer
    decision: dict[str, Any]
    version: str
