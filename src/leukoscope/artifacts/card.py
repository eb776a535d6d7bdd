"""model_card.json: the facts that a version's model card is written from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from leukoscope.artifacts.decision import DataSet, EnsembleSettings, Parameters, Part
from leukoscope.artifacts.metrics import Side
from leukoscope.config.rows import ModelSettings, Protocol
from leukoscope.core.errors import DataError
from leukoscope.core.files import write_json
from leukoscope.stats.points import OperatingPoint

CARD_FACTS = "model_card.json"


class CardFacts(Part):
    """What the card says: what the model is, its operating point, and what was measured on the side that ranks.

    `combination` says how folds became one model, `libraries` what it was made with, `measured` is that side's part of
    metrics.json. `not_real` and `mark` are decision.json's when the version was registered.
    """

    row: str
    protocol: Protocol
    mode: str
    settings: ModelSettings | EnsembleSettings
    parameters: Parameters
    data: DataSet
    split_hash: str
    identity: str
    weights_kind: str
    weights_identity: str | None
    members: list[str]
    folds: int
    combination: str
    pooled: OperatingPoint
    training_images: int
    not_real: str
    mark: str
    side: str
    measured: dict[str, Any]
    libraries: list[str]

    @property
    def figures(self) -> Side:
        """What was measured on the side that ranks."""
        return Side(self.measured)

    @classmethod
    def read(cls, path: Path) -> CardFacts:
        """The facts in a file. Raises DataError where it is not there, or no version's."""
        try:
            return cls.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise DataError(f"{path} is not there") from None
        except (ValidationError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"{path} is not a version's {CARD_FACTS}: {reason}") from None

    def write(self, folder: Path) -> None:
        """Write model_card.json into `folder`."""
        write_json(folder / CARD_FACTS, self.as_json())
