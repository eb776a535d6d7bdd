"""metrics.json: what was measured of a row or an ensemble under a protocol, side by side, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from leukoscope.core.errors import DataError
from leukoscope.core.files import read_json, write_json

METRICS_FILE = "metrics.json"


class Estimate(NamedTuple):
    """A number with its interval; `low` and `high` are None where `reason` says why there is no interval."""

    value: float | None
    low: float | None
    high: float | None
    reason: str | None

    @classmethod
    def of(cls, content: Mapping[str, Any], name: str, reason: str | None = None) -> Estimate:
        """From keys name, name_low and name_high as evaluation writes them."""
        value, low, high = (content[key] for key in (name, f"{name}_low", f"{name}_high"))
        if value is None:
            reason = content.get("undefined", {}).get(name, "not defined")
        elif low is None or high is None:
            reason = reason or content.get("interval_reason") or "not defined in every resample"
        else:
            reason = None
        return cls(value, low, high, reason)


@dataclass(frozen=True)
class ClassFacts:
    """Of one class: images, subjects, groups and their effective number, and the share right of subjects' cells."""

    n: int
    n_subjects: int
    n_groups: int
    n_groups_effective: float
    subject_accuracy_mean: float | None
    subject_accuracy_min: float | None


@dataclass(frozen=True)
class Side:
    """The test, val or train side of metrics.json. `content` is its part of the file; the rest reads from there."""

    content: Mapping[str, Any]

    @property
    def n(self) -> int:
        """Distinct images."""
        return int(self.content["n"])

    @property
    def n_subjects(self) -> int:
        """Distinct subjects."""
        return int(self.content["n_subjects"])

    @property
    def interval_level(self) -> float:
        """Of every interval, 0 to 1."""
        return float(self.content["interval_level"])

    @property
    def interval_reason(self) -> str | None:
        """Why there is no interval; None where there is one."""
        reason: str | None = self.content["interval_reason"]
        return reason

    @property
    def indicative(self) -> bool:
        """Whether a class has fewer than 10 effective groups."""
        return bool(self.content["indicative"])

    @property
    def classes(self) -> dict[str, ClassFacts]:
        """Counts and spread of each class, by its name."""
        return {name: ClassFacts(**of) for name, of in self.content["classes"].items()}

    @property
    def confusion(self) -> dict[str, int]:
        """The counts tp, tn, fp and fn at p > 0.5, with ALL as the positive class."""
        counts: dict[str, int] = self.content["confusion"]
        return counts

    def estimate(self, name: str) -> Estimate:
        """A metric at p > 0.5, or of the ranking."""
        return Estimate.of(self.content, name)

    def at_threshold(self, name: str) -> Estimate:
        """A metric of calls at each fold's own threshold, which its validation side chose."""
        return Estimate.of(self.content["at_threshold"], name, self.interval_reason)

    def sensitivity_at(self, specificity: str) -> Estimate:
        """The sensitivity at a specificity ("0.90", "0.95") on this side's own ROC curve."""
        point = self.content["sensitivity_at_specificity"][specificity]
        reason = None if point["low"] is not None else self.interval_reason or "not defined in every resample"
        return Estimate(point["value"], point["low"], point["high"], reason)

    def calibration(self, stage: str, name: str) -> Estimate:
        """Slope, intercept, ece or brier of p, `raw` or `scaled`."""
        return Estimate.of(self.content["calibration"][stage], name, self.interval_reason)

    @property
    def over_area(self) -> Estimate | None:
        """AUROC less that of cell area alone on the same images; None on any side but test."""
        return Estimate.of(self.content["over_area"], "gap") if "over_area" in self.content else None


@dataclass(frozen=True)
class Metrics:
    """metrics.json. `content` is the file's; `mark` says where values were tuned on tested groups."""

    content: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Metrics:
        """metrics.json in `folder`. Raises DataError where there is none."""
        path = folder / METRICS_FILE
        content = read_json(path)
        if not isinstance(content, dict):
            raise DataError(f"{path} has no metrics: run dvc repro")
        return cls(content)

    def write(self, folder: Path) -> None:
        """Write metrics.json into `folder`."""
        write_json(folder / METRICS_FILE, self.content)

    def side(self, name: str) -> Side:
        """The side test, val or train."""
        return Side(self.content[name])

    @property
    def test(self) -> Side:
        """Images that no fold was trained on."""
        return self.side("test")

    @property
    def mark(self) -> str:
        """What must stand at each number; empty where no study saw a tested group."""
        return str(self.content.get("mark", ""))

    def marked(self, mark: str) -> Metrics:
        """The same with a mark, where there is one."""
        return Metrics({**self.content, "mark": mark}) if mark else self

    def numbers(self) -> dict[str, float]:
        """Every number by name, such as test/auroc; nulls, words and truth values are left out."""
        return _numbers(self.content, "")


def _numbers(content: Mapping[str, Any], prefix: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            found |= _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[prefix + name] = float(value)
    return found
