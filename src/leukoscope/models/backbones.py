"""One table from a backbone's name to its constructor, its input range and its smallest picture; and its weights."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leukoscope.errors import ConfigError, WeightsError
from leukoscope.models import load_keras

if TYPE_CHECKING:
    import keras

UNTRAINED_SEED = 7
CALIBRATION_CELLS = 16


@dataclass(frozen=True)
class Backbone:
    """A constructor in keras.applications, the scaling of its input (a key of `SCALINGS`) and its smallest side."""

    constructor: str
    scaling: str
    smallest: int = 32


BACKBONES = {
    "densenet121": Backbone("DenseNet121", "imagenet statistics"),
    "efficientnetb3": Backbone("EfficientNetB3", "none"),
    "inceptionv3": Backbone("InceptionV3", "-1 to 1", smallest=75),
    "mobilenet": Backbone("MobileNet", "-1 to 1"),
    "mobilenetv2": Backbone("MobileNetV2", "-1 to 1"),
    "resnet50": Backbone("ResNet50", "blue-green-red minus mean"),
    "vgg16": Backbone("VGG16", "blue-green-red minus mean"),
}


def backbone(name: str) -> Backbone:
    """The table's entry. Raises ConfigError for an unknown name, with the known ones."""
    if name not in BACKBONES:
        raise ConfigError(f"unknown backbone '{name}' in params.yaml: it can be {', '.join(BACKBONES)}")
    return BACKBONES[name]


def _between_minus_one_and_one(pixels: keras.KerasTensor) -> keras.KerasTensor:
    from keras import layers

    return layers.Rescaling(1 / 127.5, offset=-1.0)(pixels)


def _imagenet_statistics(pixels: keras.KerasTensor) -> keras.KerasTensor:
    from keras import layers

    deviation = 255 * np.array([0.229, 0.224, 0.225])
    mean = 255 * np.array([0.485, 0.456, 0.406])
    return layers.Rescaling((1 / deviation).tolist(), offset=(-mean / deviation).tolist())(pixels)


def _blue_green_red_minus_mean(pixels: keras.KerasTensor) -> keras.KerasTensor:
    from keras import layers, ops

    reversed_channels = ops.flip(pixels, axis=-1)
    return layers.Rescaling(1.0, offset=[-103.939, -116.779, -123.68])(reversed_channels)


# What each constructor's own preprocess_input does, as layers and operations that a saved model can hold.
SCALINGS: dict[str, Callable[[keras.KerasTensor], keras.KerasTensor]] = {
    "none": lambda pixels: pixels,
    "-1 to 1": _between_minus_one_and_one,
    "imagenet statistics": _imagenet_statistics,
    "blue-green-red minus mean": _blue_green_red_minus_mean,
}


def build_backbone(name: str, weights: str, frame: int, size: int) -> keras.Model:
    """A model from [n, size, size, 3] pixels (0..255 RGB, float) to the last feature map, its scaling inside.

    `weights` is `imagenet` (downloaded by Keras, which checks the file), a .weights.h5 file, or `none`: then the start
    is random and every batch norm's statistics are set from a fixed batch of synthetic cells in the same `frame`.
    Raises ConfigError for an unknown name or a size that is too small, WeightsError for weights that are not there.
    """
    entry = backbone(name)
    if size < entry.smallest:
        raise ConfigError(f"size {size} is too small for backbone {name}: it takes {entry.smallest} pixels or more")
    load_keras()
    import keras

    constructor = getattr(keras.applications, entry.constructor)
    shape = (size, size, 3)
    if weights == "imagenet":
        trunk = _with_imagenet_weights(constructor, name, shape)
    else:
        keras.utils.set_random_seed(UNTRAINED_SEED)
        trunk = constructor(include_top=False, weights=None, input_shape=shape)
        if weights != "none":
            _load(trunk, name, Path(weights))
    pixels = keras.Input(shape, name="pixels")
    model = keras.Model(pixels, trunk(SCALINGS[entry.scaling](pixels)), name=name)
    if weights == "none":
        _calibrate_batchnorm(model, trunk, frame, size)
    return model


def trunk_of(model: keras.Model) -> keras.Model:
    """The keras.applications model inside what `build_backbone` returns."""
    import keras

    return next(layer for layer in model.layers if isinstance(layer, keras.Model))


def batchnorms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Every batch-norm layer of a model and of the models inside it."""
    import keras

    # _flatten_layers is how Keras itself walks nested models; there is no public walk.
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]


def _with_imagenet_weights(constructor: Callable[..., keras.Model], name: str, shape: tuple) -> keras.Model:
    try:
        return constructor(include_top=False, weights="imagenet", input_shape=shape)
    except Exception as error:  # Keras raises a bare Exception for every download that fails
        wanted = next((word.rstrip(":").rsplit("/", 1)[-1] for word in str(error).split() if "://" in word), None)
        home = os.environ.get("KERAS_HOME", "~/.keras")
        where = f"put {wanted} into {home}/models" if wanted else "download them by hand"
        raise WeightsError(
            f"the ImageNet weights of {name} could not be downloaded ({str(error).splitlines()[0][:200]}): {where}, "
            f"or set weights in params.yaml to a .weights.h5 file, or to none for an untrained start"
        ) from error


def _load(trunk: keras.Model, name: str, path: Path) -> None:
    if not path.is_file():
        raise WeightsError(
            f"weights file {path} of backbone {name} is not there: mend models.<row>.weights in params.yaml"
        )
    try:
        with warnings.catch_warnings():
            # Keras only warns where it finds nothing for a layer and leaves it as it was, at random.
            warnings.simplefilter("error", UserWarning)
            trunk.load_weights(path)
    except (UserWarning, ValueError, OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"weights file {path} does not fit backbone {name} without its top: {reason}") from error


def _calibrate_batchnorm(model: keras.Model, trunk: keras.Model, frame: int, size: int) -> None:
    """Set each batch norm's moving statistics to those of one fixed batch.

    A plain random start shrinks pooled features to 1e-5 and below, which a head's batch norm (epsilon 1e-3) flattens
    to one constant output.
    """
    import keras

    from leukoscope.data.pack import frame_and_resize
    from leukoscope.data.synthetic import fixed_cells

    cells = fixed_cells(CALIBRATION_CELLS, UNTRAINED_SEED)
    batch = np.stack([frame_and_resize(cell, frame, size) for cell in cells]).astype(np.float32)
    norms = batchnorms(trunk)
    momenta = [norm.momentum for norm in norms]
    dropouts = [layer for layer in trunk._flatten_layers() if isinstance(layer, keras.layers.Dropout)]
    rates = [layer.rate for layer in dropouts]
    for norm in norms:
        norm.momentum = 0.0
        # An offset of one standard deviation lets most activations pass: centred ones, through dozens of random layers,
        # lose what the picture showed (area alone then explains 0.1 of a feature's variance, and half with the offset).
        norm.beta.assign(np.ones(norm.beta.shape, np.float32))
    for layer in dropouts:
        layer.rate = 0.0
    model(batch, training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for layer, rate in zip(dropouts, rates, strict=True):
        layer.rate = rate


def weights_identity(name: str, weights: str) -> str:
    """A name for these weights that changes when they do: a file's SHA-256, or the fixed source of the others.

    Keras pins the hash of every ImageNet file that it downloads, so its version stands for them.
    """
    import importlib.metadata

    if weights in ("imagenet", "none"):
        version = importlib.metadata.version("keras")
        return f"{weights}:{name}:keras-{version}" + (f":seed-{UNTRAINED_SEED}" if weights == "none" else "")
    path = Path(weights)
    if not path.is_file():
        raise WeightsError(
            f"weights file {path} of backbone {name} is not there: mend models.<row>.weights in params.yaml"
        )
    with path.open("rb") as file:
        return f"file:{name}:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def weights_kind(weights: str) -> str:
    """What to call the weights beside a result: imagenet, file, or untrained."""
    return {"imagenet": "imagenet", "none": "untrained"}.get(weights, "file")
