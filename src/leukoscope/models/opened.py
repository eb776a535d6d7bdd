"""A saved model cut in two at the maps that it pools: from a picture to the maps, and from these to p(ALL).

The cut shares the model's layers and weights. It is read off the saved graph, so it is the same for every row: no
settings are needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import keras

    Map = tuple[keras.KerasTensor, "Crop | None"]

Crop = tuple[int, int]  # height and width of a picture's centre, in native pixels


class Opened(NamedTuple):
    """`front` takes pictures to all maps, a list of [n * turns, h, w, channels]; `tail` pictures and maps to p(ALL).

    `crops` says of each map which centre of the picture it is of, None for the whole picture. Its turns are one after
    another, as `models.assembly` makes them.
    """

    front: keras.Model
    tail: keras.Model
    crops: list[Crop | None]


def opened(model: keras.Model) -> Opened:
    """A model as `models.assembly` makes it, opened.

    The maps are what those networks give that take pictures to maps: the backbones, or what is left of them up to their
    taps. A network from pictures to numbers, which a finetuned fold is, is opened in turn; where it has no such network
    of its own, the maps are what its pooling takes. Raises ValueError for a model without a map.
    """
    rebuilt, maps = _rebuilt(model, None)
    if not maps:
        raise ValueError(f"model {model.name} pools no map")
    return Opened(*_cut(rebuilt, maps), [crop for _, crop in maps])


def _cut(rebuilt: keras.Model, maps: list[Map]) -> tuple[keras.Model, keras.Model]:
    import keras

    tensors = [one for one, _ in maps]
    return keras.Model(rebuilt.input, tensors), keras.Model([rebuilt.input, *tensors], rebuilt.output)


@dataclass
class _Walk:
    """What is met on the way through a graph: each tensor's crop by its id, and maps of both kinds."""

    crops: dict[int, Crop | None] = field(default_factory=dict)
    kept: list[keras.KerasTensor] = field(default_factory=list)  # so that no id is given twice
    of_networks: list[Map] = field(default_factory=list)
    pooled: list[Map] = field(default_factory=list)


def _rebuilt(network: keras.Model, outside: Crop | None) -> tuple[keras.Model, list[Map]]:
    """The same network on the same layers, and the maps as tensors of its graph; `outside` is what its input shows."""
    import keras

    walk = _Walk()

    def call(layer: keras.Operation, *args: Any, **kwargs: Any) -> Any:
        inputs = [one for one in keras.tree.flatten((args, kwargs)) if isinstance(one, keras.KerasTensor)]
        crop = next((walk.crops[id(one)] for one in inputs if walk.crops.get(id(one))), outside)
        if isinstance(layer, keras.layers.CenterCrop):
            crop = (layer.height, layer.width)
        if isinstance(layer, keras.Model) and _is_map(layer.inputs[0]) and not _is_map(layer.outputs[0]):
            inner, maps = _rebuilt(layer, crop)
            front, tail = _cut(inner, maps)
            found = keras.tree.flatten(front(inputs[0]))
            walk.of_networks += [(one, of) for one, (_, of) in zip(found, maps, strict=True)]
            outputs = tail([inputs[0], *found])
        else:
            outputs = layer(*args, **kwargs)
        flat = keras.tree.flatten(outputs)
        if isinstance(layer, keras.Model) and _is_map(flat[0]):
            walk.of_networks += [(one, crop) for one in flat]
        elif _is_map(inputs[0]) and not _is_map(flat[0]):
            walk.pooled.append((inputs[0], crop))
        walk.kept += flat
        walk.crops |= {id(one): crop for one in flat}
        return outputs

    rebuilt = keras.models.clone_model(network, clone_function=lambda layer: layer, call_function=call)
    return rebuilt, walk.of_networks or walk.pooled


def _is_map(tensor: keras.KerasTensor) -> bool:
    """Whether a tensor is [n, h, w, channels]."""
    return len(tensor.shape) == 4
