"""Figure 2's method: the stages of dvc.yaml and what each waits for, as places for a drawing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

WIDTH = 380  # of the drawing: what a phone shows without shrinking it
BOX, HEIGHT, GAP = 116, 42, 26


@dataclass(frozen=True)
class StageBox:
    """A stage at its place: x and y of the middle of its upper edge, and what it is made for each of."""

    name: str
    description: str
    each: str
    x: float
    y: float


@dataclass(frozen=True)
class Pipeline:
    """Boxes from top to bottom, arrows as SVG paths, and the drawing's height."""

    boxes: list[StageBox]
    arrows: list[str]
    height: float


def draw_pipeline(path: Path) -> Pipeline:
    """The drawing of a dvc.yaml: a stage stands below all that it waits for.

    Arrows that a longer way implies are left out.
    """
    stages: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["stages"]
    needs = _needs(stages)
    level = _levels(needs)
    places = _places(level)
    boxes = [
        StageBox(name, stages[name].get("desc", ""), _each(stages[name]), *places[name])
        for name in sorted(stages, key=level.__getitem__)
    ]
    arrows = [_arrow(places[need], places[name]) for name, of in needs.items() for need in sorted(_direct(needs, of))]
    return Pipeline(boxes, arrows, (HEIGHT + GAP) * (max(level.values()) + 1) - GAP)


def _paths(entries: list[Any]) -> list[str]:
    return [next(iter(entry)) if isinstance(entry, Mapping) else entry for entry in entries]


def _below(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _needs(stages: Mapping[str, Mapping[str, Any]]) -> dict[str, set[str]]:
    """For each stage the stages that write what it reads."""
    return {
        name: {
            other
            for other, writer in stages.items()
            if other != name
            and any(_below(dep, out) for dep in _paths(stage.get("deps", [])) for out in _paths(writer.get("outs", [])))
        }
        for name, stage in stages.items()
    }


def _levels(needs: Mapping[str, set[str]]) -> dict[str, int]:
    """How many stages the longest way to each stage has."""
    level: dict[str, int] = {}
    while len(level) < len(needs):
        for name, of in needs.items():
            if name not in level and of <= set(level):
                level[name] = max((level[need] + 1 for need in of), default=0)
    return level


def _direct(needs: Mapping[str, set[str]], of: set[str]) -> set[str]:
    """What is needed and not already needed by something else that is."""

    def all_before(name: str) -> set[str]:
        return needs[name].union(*(all_before(need) for need in needs[name]))

    return of - {earlier for need in of for earlier in all_before(need)}


def _places(level: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    places: dict[str, tuple[float, float]] = {}
    for number in range(max(level.values()) + 1):
        names = [name for name, of in level.items() if of == number]
        step = WIDTH / len(names)
        for position, name in enumerate(names):
            places[name] = (step * (position + 0.5), number * (HEIGHT + GAP))
    return places


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    """Straight down beside the levels between, then over to the box below."""
    (x, y), (to_x, to_y) = start, end
    bend = to_y - GAP
    return f"M{x:g} {y + HEIGHT:g}V{bend:g}C{x:g} {bend + GAP / 2:g} {to_x:g} {bend + GAP / 4:g} {to_x:g} {to_y - 4:g}"


def _each(stage: Mapping[str, Any]) -> str:
    return f"each {' and '.join(stage['matrix'])}" if "matrix" in stage else ""
