"""A saved model cut in two at the maps that it pools: from a picture to the maps, and from these to p(ALL).

The cut shares the model's layers and weights. It is read off the saved graph, so it is the same for every row: no
settings are needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import keras


Crop = tuple[int, int]  # height and width of a picture's centre, in native pixels


class Map(NamedTuple):
    """A map [n * turns, h, w, channels] of a model's graph, whose turns are as `training.assembly` makes them.

    `crop` is the centre of the picture that it is of, None for the whole picture; `whole` whether its places are pooled
    alike, without regard to where the cell is.
    """

    tensor: keras.KerasTensor
    crop: Crop | None
    whole: bool


class Opened(NamedTuple):
    """`front` takes pictures to the tensors of all `maps`; `tail` takes pictures and those to p(ALL)."""

    front: keras.Model
    tail: keras.Model
    maps: list[Map]


def opened(model: keras.Model) -> Opened:
    """A model as `training.assembly` makes it, opened.

    The maps are what those networks give that take pictures to maps: the backbones, or what is left of them up to their
    taps. A network from pictures to numbers, which a finetuned fold is, is opened in turn; where it has no such network
    of its own, the maps are what its pooling takes. Raises ValueError for a model without a map.
    """
    rebuilt, maps = _rebuilt(model, None)
    if not maps:
        raise ValueError(f"model {model.name} pools no map")
    return Opened(*_cut(rebuilt, maps), maps)


def _cut(rebuilt: keras.Model, maps: list[Map]) -> tuple[keras.Model, keras.Model]:
    import keras

    tensors = [one.tensor for one in maps]
    return keras.Model(rebuilt.input, tensors), keras.Model([rebuilt.input, *tensors], rebuilt.output)


@dataclass
class _Walk:
    """What is met on the way through a graph: each tensor's crop by its id, and what may be a map."""

    crops: dict[int, Crop | None] = field(default_factory=dict)
    kept: list[keras.KerasTensor] = field(default_factory=list)  # so that no id is given twice
    of_backbones: list[keras.KerasTensor] = field(default_factory=list)
    opened: list[Map] = field(default_factory=list)  # in networks from pictures to numbers
    pooled: list[keras.KerasTensor] = field(default_factory=list)  # at once, from all places to numbers

    def maps(self) -> list[Map]:
        pooled = {id(one) for one in self.pooled}
        own = self.of_backbones or ([] if self.opened else self.pooled)
        return [Map(one, self.crops[id(one)], id(one) in pooled) for one in own] + self.opened


def _rebuilt(network: keras.Model, outside: Crop | None) -> tuple[keras.Model, list[Map]]:
    """The same network on the same layers, and the maps as tensors of its graph; `outside` is what its input shows."""
    import keras

    walk = _Walk()

    def call(layer: keras.Operation, *args: Any, **kwargs: Any) -> Any:
        inputs = [one for one in keras.tree.flatten((args, kwargs)) if isinstance(one, keras.KerasTensor)]
        crop = next((walk.crops[id(one)] for one in inputs if walk.crops.get(id(one))), outside)
        if isinstance(layer, keras.layers.CenterCrop):
            crop = (layer.height, layer.width)
        is_network, sees_pictures = isinstance(layer, keras.Model), _is_map(inputs[0])
        if is_network and sees_pictures and not _is_map(layer.outputs[0]):
            outputs, maps = _called_opened(layer, inputs[0], crop)
            walk.opened += maps
        else:
            outputs = layer(*args, **kwargs)
        flat = keras.tree.flatten(outputs)
        walk.kept += [*inputs, *flat]
        walk.crops |= {id(one): crop for one in flat}
        if sees_pictures and not is_network and not _is_map(flat[0]):
            walk.crops.setdefault(id(inputs[0]), crop)
            walk.pooled.append(inputs[0])
        if is_network and _is_map(flat[0]):
            walk.of_backbones += flat
        return outputs

    rebuilt = keras.models.clone_model(network, clone_function=lambda layer: layer, call_function=call)
    return rebuilt, walk.maps()


def _called_opened(
    network: keras.Model, pictures: keras.KerasTensor, crop: Crop | None
) -> tuple[keras.KerasTensor, list[Map]]:
    """What a network from pictures to numbers gives, called in two halves, and the maps between them."""
    import keras

    inner, maps = _rebuilt(network, crop)
    front, tail = _cut(inner, maps)
    found = keras.tree.flatten(front(pictures))
    outputs = tail([pictures, *found])
    return outputs, [one._replace(tensor=tensor) for one, tensor in zip(maps, found, strict=True)]


def _is_map(tensor: keras.KerasTensor) -> bool:
    """Whether a tensor is [n, h, w, channels]."""
    return len(tensor.shape) == 4
