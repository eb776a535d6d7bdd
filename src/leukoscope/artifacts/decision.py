"""decision.json: what a model is, what its validation sides decided, and what it was trained on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from leukoscope.artifacts.layers import LayerFacts
from leukoscope.config.params import HONEST_PROTOCOLS
from leukoscope.config.rows import ModelSettings, Protocol, Tuned
from leukoscope.core.cautions import TESTED, UNKNOWN, Marks, joined, not_for_real, why_not_real
from leukoscope.core.errors import DataError
from leukoscope.core.files import read_json, write_json
from leukoscope.stats.points import OperatingPoint

DECISION_FILE = "decision.json"


class Part(BaseModel):
    """A part of a JSON artifact: unknown keys are refused, and those of `optional` are absent where they are None."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    optional: ClassVar[tuple[str, ...]] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain values, as the file has them."""
        content: dict[str, Any] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if value is not None or name not in self.optional:
                content[name] = _plain(value)
        return content


def _plain(value: Any) -> Any:
    if isinstance(value, Part):
        return value.as_json()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


class DataSet(Part):
    """The data set: its name, whether its cells are real or synthetic, and the hash of its images' table."""

    name: str
    kind: str
    hash: str


class TunedOn(Tuned):
    """Which study values come from, and how much of the test side it saw: None where that cannot be told."""

    tested_groups: int | None
    tested_images: int | None


class Member(Part):
    """A row of an ensemble: the hash of its model, its AUROC on validation, and where tuned values come from."""

    optional = ("tuned",)

    identity: str
    val_auroc: float | None
    tuned: TunedOn | None = None


class EnsembleSettings(Part):
    """What an ensemble has in a row's place: its rows, the pixels that they see between them, the most turns of any."""

    members: list[str]
    frame: int
    rotations: int


class Parameters(Part):
    """The weights of one fold's model, and how many of them training may change."""

    total: int
    trainable: int


class About(Part):
    """What a training is of: the row, its settings, its data and its split."""

    optional: ClassVar[tuple[str, ...]] = ("tuned", "weights_identity")

    row: str
    protocol: Protocol
    settings: ModelSettings | EnsembleSettings
    mode: str
    weights_identity: str | None = None
    weights_kind: str
    data: DataSet
    split_hash: str
    tuned: TunedOn | None = None

    @property
    def honest(self) -> bool:
        """Whether the protocol keeps subjects apart."""
        return self.protocol in HONEST_PROTOCOLS

    @property
    def not_real(self) -> str:
        """Why the model is not for real cells: these are synthetic, or weights untrained; empty otherwise."""
        return why_not_real(self.data.kind, self.weights_kind)

    @property
    def tunings(self) -> list[TunedOn]:
        """The studies that values come from."""
        return [self.tuned] if self.tuned else []

    @property
    def mark(self) -> str:
        """What must stand at each number under the protocol; empty where no study saw a tested group."""
        tested_groups = [tuned.tested_groups for tuned in self.tunings]
        if any(tested_groups):
            return TESTED
        return UNKNOWN if None in tested_groups else ""

    @property
    def caveat(self) -> str:
        """What a figure must say of its numbers: `not_real` and `mark`."""
        return joined(self.not_real, self.mark)

    @property
    def loud(self) -> str:
        """The warning to show prominently; empty for real cells, trained weights and values tuned elsewhere."""
        return not_for_real(self.caveat) if self.not_real else self.caveat

    @property
    def comparable(self) -> dict[str, str]:
        """What two models must share before one number may be set against another, by its name."""
        return {"data": self.data.hash, "protocols": self.protocol, "splits": self.split_hash}


class Decision(About):
    """decision.json of a row or an ensemble under a protocol.

    `folds` has each fold's operating point by its number, `pooled` that of all. `training_images` has the folds that an
    image trained, as words like "0 3 4", by its SHA-256. An ensemble has `members` and a `val_auroc`.
    """

    optional: ClassVar[tuple[str, ...]] = ("tuned", "weights_identity", "members", "val_auroc")

    identity: str
    parameters: Parameters
    layers: list[LayerFacts]
    folds: dict[str, OperatingPoint]
    pooled: OperatingPoint
    training_images: dict[str, str]
    training_subjects: list[str]
    members: dict[str, Member] | None = None
    val_auroc: float | None = None

    @classmethod
    def of(cls, content: Mapping[str, Any], shown: object = DECISION_FILE) -> Decision:
        """The decision that a file `shown` holds. Raises DataError for content that is none."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise DataError(f"{shown} is no decision of a model ({where}: {first['msg']}): run dvc repro") from None

    @classmethod
    def read(cls, folder: Path) -> Decision:
        """decision.json in `folder`. Raises DataError where there is none, or another file of that name."""
        path = folder / DECISION_FILE
        return cls.of(read_json(path), path)

    def write(self, folder: Path) -> None:
        """Write decision.json into `folder`."""
        write_json(folder / DECISION_FILE, self.as_json())

    @property
    def is_ensemble(self) -> bool:
        """Whether it is a mean of rows."""
        return self.members is not None

    @property
    def row_settings(self) -> ModelSettings:
        """A row's settings. Raises ValueError for an ensemble, whose members have settings of their own."""
        if isinstance(self.settings, EnsembleSettings):
            raise ValueError(f"{self.row} is an ensemble")
        return self.settings

    @property
    def frame(self) -> int:
        """The side, in native pixels, of the centre of a picture that the model sees."""
        return self.settings.frame

    @property
    def rotations(self) -> int:
        """How many turns of a picture the model averages over."""
        return self.settings.rotations

    @property
    def tunings(self) -> list[TunedOn]:
        """The studies that values come from: the row's, or those of an ensemble's members."""
        parts = [self] if self.members is None else self.members.values()
        return [part.tuned for part in parts if part.tuned]

    def trained_by(self, fold: int | str) -> set[str]:
        """The SHA-256 of the images that trained a fold's model."""
        return {sha256 for sha256, folds in self.training_images.items() if str(fold) in folds.split()}

    @property  # not cached: a changed copy would take it along
    def content_hash(self) -> str:
        """The hash of the file's content: the same weights with another threshold have another one."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()


def marks(decisions: Iterable[About]) -> Marks:
    """The mark of each marked row under each protocol where it has one, by row and then by protocol."""
    found: dict[str, dict[str, str]] = {}
    for decision in decisions:
        if decision.mark:
            found.setdefault(decision.row, {})[decision.protocol] = decision.mark
    return found


def parameters_of(layers: Sequence[LayerFacts]) -> Parameters:
    """All weights of these layers, and those that training may change."""
    return Parameters(
        total=sum(layer["parameters"] for layer in layers), trainable=sum(layer["trainable"] for layer in layers)
    )
