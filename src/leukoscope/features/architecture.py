"""A model's layers as plain values: what decision.json keeps, and what the report counts and draws."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from leukoscope.artifacts.layers import LayerFacts

if TYPE_CHECKING:
    import keras


POOLED_BY = {"max": "Max", "avg": "Mean", "cell": "MeanAndDeviation"}


def describe(model: keras.Model) -> list[LayerFacts]:
    """The layers of a model in order, without its input.

    A network inside it that sees pictures (a backbone) is one entry; one that sees features (a head) is told layer by
    layer.
    """
    import keras

    facts: list[LayerFacts] = []
    for operation in model.operations:  # its layers, and the operations of keras.ops between them
        if isinstance(operation, keras.Model) and len(operation.input.shape) == 2:
            facts += describe(operation)
        elif not isinstance(operation, keras.layers.InputLayer):
            facts.append(_facts(operation))
    return facts


def unweighted(kind: str, name: str, output: Sequence[int], detail: str = "") -> LayerFacts:
    """A layer without weights that gives numbers of this shape."""
    return LayerFacts(kind=kind, name=name, layers=1, output=[*output], parameters=0, trainable=0, detail=detail)


def at_scale(name: str, shrink: int) -> str:
    """A backbone or a layer in words that tell its scale, where it sees the means of squares of pixels."""
    return name if shrink == 1 else f"{name} at 1/{shrink} scale"


def whole_row(features: Sequence[LayerFacts] | None, trained: keras.Model) -> list[LayerFacts]:
    """From scaled pixels to two sigmoids: what one fold's model consists of.

    `trained` is what training saved: the whole model (then `features` is None), or a head on the frozen features that
    the layers `features` give.
    """
    return [*(features or []), *describe(trained)]


def _facts(operation: keras.Operation) -> LayerFacts:
    import keras

    is_layer = isinstance(operation, keras.layers.Layer)
    output = operation.output[-1] if isinstance(operation.output, list) else operation.output  # of several taps
    return LayerFacts(
        kind=type(operation).__name__,
        name=operation.name,
        layers=len(operation.layers) if isinstance(operation, keras.Model) else 1,
        output=[int(size) for size in output.shape[1:]],
        parameters=int(operation.count_params()) if is_layer else 0,
        trainable=sum(math.prod(weight.shape) for weight in operation.trainable_weights) if is_layer else 0,
        detail=_detail(operation.get_config()) if is_layer else "",
    )


def _detail(settings: Mapping[str, Any]) -> str:
    """The activation, the dropout rate and the regularisers of a layer's settings, as words."""
    words = [settings["activation"]] if isinstance(settings.get("activation"), str) else []
    words += [f"rate {settings['rate']:g}"] if "rate" in settings else []
    for part in ("kernel", "activity", "bias"):
        regularizer = settings.get(f"{part}_regularizer")
        for penalty, strength in (regularizer["config"] if regularizer else {}).items():
            words += [f"{part} {penalty.upper()} {strength:.6g}"] if strength else []
    return ", ".join(words)
