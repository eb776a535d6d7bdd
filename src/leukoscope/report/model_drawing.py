"""Figure 2's architecture: a row's own layers, from the picture to p(ALL), as the saved model has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from leukoscope.models.architecture import at_scale
from leukoscope.models.weights import weights_kind
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
    settings = result.decision["settings"]
    size, folds = settings["size"], len(result.decision["folds"])
    frame = f"centre {settings['frame']} pixels" + ("" if settings["frame"] == size else f", resized to {size}")
    turns = settings.get("rotations", 1)
    means = [f"{folds} folds' models"] * (folds > 1) + [f"{turns} turns of the picture"] * (turns > 1)
    last = "of two sigmoids: ALL over the sum of both" + (f"; mean of {' and '.join(means)}" if means else "")
    return [
        LayerBox("picture", "RGB, 0 to 255, native optics", "any size", 0, "unweighted"),
        LayerBox("frame", frame, _shape([size, size, 3]), 0, "unweighted"),
        *_layers(result.layers, settings),
        LayerBox("p(ALL)", last, "1", 0, "unweighted"),
    ]


def _layers(layers: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> Iterator[LayerBox]:
    """A row's backbones are the networks among its layers, in their order."""
    networks = iter([settings, settings.get("beside")])
    for layer in layers:
        title, detail = TITLES.get(layer["kind"], layer["kind"]), layer["detail"]
        if layer["layers"] > 1 and (backbone := next(networks)):
            title = at_scale(backbone["backbone"], backbone.get("shrink", 1))
            weights = f"{layer['layers']} layers, weights: {weights_kind(backbone['weights'])}"
            detail = ", ".join(filter(None, [weights, layer["detail"]]))
        state = "unweighted" if not layer["parameters"] else "trained" if layer["trainable"] else "frozen"
        yield LayerBox(title, detail, _shape(layer["output"]), layer["parameters"], state)


def _shape(output: list[int]) -> str:
    return " × ".join(map(str, output))
