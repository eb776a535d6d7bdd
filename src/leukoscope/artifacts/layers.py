"""A layer as plain values: what decision.json and features.json keep of a model, and what the report draws."""

from __future__ import annotations

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12


class LayerFacts(TypedDict):
    """A layer, or a network of `layers` layers: its output's shape without the batch, and its numbers of weights.

    `trainable` counts the weights that training may change, `detail` holds the settings that Table III speaks of.
    """

    kind: str
    name: str
    layers: int
    output: list[int]
    parameters: int
    trainable: int
    detail: str
