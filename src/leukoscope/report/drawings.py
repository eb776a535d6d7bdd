"""Figure 2: the pipeline of dvc.yaml, and a row's own layers from the picture to p(ALL), as places for a drawing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from leukoscope.artifacts.layers import LayerFacts
from leukoscope.config.rows import ModelSettings
from leukoscope.features.architecture import at_scale
from leukoscope.features.weights import weights_kind
from leukoscope.report.evidence import Result

TITLES = {
    "AveragePool": "shrunk",
    "Max": "global max pooling",
    "Mean": "global average pooling",
    "MeanAndDeviation": "mean and deviation over the cell",
    "Statistics": "statistics of the cell",
    "Concatenate": "joined",
    "Multiply": "statistics weighted",
    "BatchNormalization": "batch normalization",
    "Normalization": "standardisation",
    "Rescaling": "input scaling",
    "Flip": "red and blue swapped",
    "Dense": "dense",
    "Dropout": "dropout",
}


class LayerBox(NamedTuple):
    """A line of the drawing: what it is, its settings, its output's shape, its weights, and how these came to be.

    `state` is trained, frozen, or unweighted where it has no weights.
    """

    title: str
    detail: str
    output: str
    parameters: int
    state: str


def draw_model(result: Result) -> list[LayerBox]:
    """The lines from a raw picture to p(ALL). Layers, shapes and weights are those that decision.json tells."""
    row, folds = result.decision.row_settings, len(result.decision.folds)
    size, turns = row.size, row.rotations
    frame = f"centre {row.frame} pixels" + ("" if row.frame == size else f", resized to {size}")
    means = [f"{folds} folds' models"] * (folds > 1) + [f"{turns} turns of the picture"] * (turns > 1)
    last = "of two sigmoids: ALL over the sum of both" + (f"; mean of {' and '.join(means)}" if means else "")
    return [
        LayerBox("picture", "RGB, 0 to 255, native optics", "any size", 0, "unweighted"),
        LayerBox("frame", frame, _shape([size, size, 3]), 0, "unweighted"),
        *_layers(result.layers, row),
        LayerBox("p(ALL)", last, "1", 0, "unweighted"),
    ]


def _layers(layers: Sequence[LayerFacts], row: ModelSettings) -> Iterator[LayerBox]:
    """A row's backbones are the networks among its layers, in their order."""
    networks = iter(row.branches)
    for layer in layers:
        title, detail = TITLES.get(layer["kind"], layer["kind"]), layer["detail"]
        if layer["layers"] > 1:
            branch = next(networks)
            title = at_scale(branch.backbone, branch.shrink)
            weights = f"{layer['layers']} layers, weights: {weights_kind(branch.weights)}"
            detail = ", ".join(filter(None, [weights, layer["detail"]]))
        state = "unweighted" if not layer["parameters"] else "trained" if layer["trainable"] else "frozen"
        yield LayerBox(title, detail, _shape(layer["output"]), layer["parameters"], state)


def _shape(output: list[int]) -> str:
    return " × ".join(map(str, output))


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
