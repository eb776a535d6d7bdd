"""One table from a backbone's name to its constructor, its scaling, its ImageNet weights and its smallest picture."""

from __future__ import annotations

import difflib
import importlib.metadata
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leukoscope.config.rows import ModelSettings
from leukoscope.core.errors import ConfigError, WeightsError
from leukoscope.features.keras_loading import load_keras
from leukoscope.features.weights import ImageNetWeights, file_identity, load_file, whole_downloads

if TYPE_CHECKING:
    import keras


UNTRAINED_SEED = 7
CALIBRATION_CELLS = 16

# From an input's shape (height, width, 3) and "imagenet" or None to a model without its top, of stock layers alone.
Constructor = Callable[[tuple[int, int, int], str | None], "keras.Model"]


def in_keras(constructor: str) -> Constructor:
    """The constructor of this name in keras.applications."""

    def construct(shape: tuple[int, int, int], weights: str | None) -> keras.Model:
        import keras

        return getattr(keras.applications, constructor)(include_top=False, weights=weights, input_shape=shape)

    return construct


RESNET18_PRESET = "keras/resnetv1/keras/resnet_18_imagenet/3"
RESNET18 = {
    "input_conv_filters": [64],
    "input_conv_kernel_sizes": [7],
    "stackwise_num_filters": [64, 128, 256, 512],
    "stackwise_num_blocks": [2, 2, 2, 2],
    "stackwise_num_strides": [1, 2, 2, 2],
    "block_type": "basic_block",
}


def resnet18(shape: tuple[int, int, int], weights: str | None) -> keras.Model:
    """KerasHub's ResNet18 as a functional model: its own class would not load where KerasHub is not imported."""
    import keras
    from keras_hub.models import ResNetBackbone

    if weights == "imagenet":
        hub = ResNetBackbone.from_preset(f"kaggle://{RESNET18_PRESET}", image_shape=shape)
    else:
        hub = ResNetBackbone(**RESNET18, image_shape=shape)
    return keras.Model(hub.input, hub.output, name="resnet18")


@dataclass(frozen=True)
class Backbone:
    """A constructor, the scaling of its input (a key of `SCALINGS`), its ImageNet weights and its smallest side."""

    construct: Constructor
    scaling: str
    imagenet: ImageNetWeights
    smallest: int = 32


BACKBONES = {
    "densenet121": Backbone(
        in_keras("DenseNet121"),
        "ImageNet mean 0, deviation 1",
        ImageNetWeights("densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    ),
    "efficientnetb3": Backbone(in_keras("EfficientNetB3"), "0 to 255", ImageNetWeights("efficientnetb3_notop.h5")),
    "inceptionv3": Backbone(
        in_keras("InceptionV3"),
        "-1 to 1",
        ImageNetWeights("inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        smallest=75,
    ),
    "mobilenet": Backbone(
        in_keras("MobileNet"),
        "-1 to 1",
        ImageNetWeights("mobilenet_1_0_{side}_tf_no_top.h5", sides=(128, 160, 192)),
    ),
    "mobilenetv2": Backbone(
        in_keras("MobileNetV2"),
        "-1 to 1",
        ImageNetWeights(
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_{side}_no_top.h5", sides=(96, 128, 160, 192)
        ),
    ),
    "resnet18": Backbone(
        resnet18,
        "ImageNet mean 0, deviation 1",
        ImageNetWeights("resnet_18_imagenet.weights.h5", preset=RESNET18_PRESET),
    ),
    "resnet50": Backbone(
        in_keras("ResNet50"),
        "blue-green-red, ImageNet mean 0",
        ImageNetWeights("resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    ),
    "vgg16": Backbone(
        in_keras("VGG16"),
        "blue-green-red, ImageNet mean 0",
        ImageNetWeights("vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    ),
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
    "0 to 255": lambda pixels: pixels,
    "-1 to 1": _between_minus_one_and_one,
    "ImageNet mean 0, deviation 1": _imagenet_statistics,
    "blue-green-red, ImageNet mean 0": _blue_green_red_minus_mean,
}


def build_backbone(name: str, weights: str, frame: int, size: int, taps: Sequence[str] = ()) -> keras.Model:
    """A model from [n, size, size, 3] pixels (0..255 RGB, float) to the last feature map, its scaling inside.

    With `taps`, names of the backbone's own layers, it ends at the last of them and gives a list of their maps.

    `weights` is `imagenet` (downloaded by Keras or KerasHub), a .weights.h5 file, or `none`: then
    the start is random and every batch norm's statistics are set from a fixed batch of synthetic cells in the same
    `frame`. Raises ConfigError for an unknown name or tap or a size that is too small, WeightsError for weights that
    are not there.
    """
    entry = backbone(name)
    if size < entry.smallest:
        raise ConfigError(
            f"backbone {name} takes pictures of {entry.smallest} pixels a side or more and is shown {size}: "
            f"mend size or beside.shrink of its row in params.yaml"
        )
    load_keras()
    import keras

    shape = (size, size, 3)
    file = _file_to_load(entry, weights, size)
    if weights == "imagenet" and file is None:
        trunk = _with_imagenet_weights(entry, name, shape)
    else:
        keras.utils.set_random_seed(UNTRAINED_SEED)
        trunk = entry.construct(shape, None)
        if file:
            load_file(trunk, name, file)
    pixels = keras.Input(shape, name="pixels")
    model = keras.Model(pixels, trunk(SCALINGS[entry.scaling](pixels)), name=name)
    if weights == "none":
        _calibrate_batchnorm(model, trunk, frame, size)
    if not taps:
        return model
    cut = _cut(trunk, name, taps)
    return keras.Model(pixels, cut(SCALINGS[entry.scaling](pixels)), name=name)


def _cut(trunk: keras.Model, name: str, taps: Sequence[str]) -> keras.Model:
    """The trunk up to the last of its layers `taps`, whose maps it gives. Raises ConfigError for one that has none."""
    import keras

    maps = {layer.name: layer.output for layer in trunk.layers if _has_a_map(layer)}
    for tap in taps:
        if tap not in maps:
            near = difflib.get_close_matches(tap, maps) or list(maps)[-3:]
            raise ConfigError(f"backbone {name} has no layer '{tap}' with a map to tap: near it are {', '.join(near)}")
    return keras.Model(trunk.input, [maps[tap] for tap in taps], name=trunk.name)


def _has_a_map(layer: keras.Layer) -> bool:
    """Whether a layer gives one [n, h, w, channels]."""
    return len(getattr(layer.output, "shape", ())) == 4


def _file_to_load(entry: Backbone, weights: str, size: int) -> Path | None:
    """The file that is loaded here; None for an untrained start and for weights that Keras or KerasHub loads."""
    if weights == "imagenet":
        return entry.imagenet.by_hand(size)
    return None if weights == "none" else Path(weights)


def _with_imagenet_weights(entry: Backbone, name: str, shape: tuple[int, int, int]) -> keras.Model:
    try:
        with whole_downloads():
            return entry.construct(shape, "imagenet")
    except Exception as error:  # Keras raises a bare Exception for a download that fails, KerasHub whatever it meets
        raise WeightsError(
            f"the ImageNet weights of {name} could not be downloaded ({' '.join(str(error).split())[:200]}): "
            f"{entry.imagenet.advice(shape[0])}, or set weights in params.yaml to a .weights.h5 file, "
            f"or to none for an untrained start"
        ) from error


def weights_identity(name: str, weights: str, size: int) -> str:
    """A name for these weights that changes when they do: a file's SHA-256, or the fixed source of the others.

    Keras pins the hash of the ImageNet files that it downloads, so its version stands for them, as the version in a
    preset's handle does for KerasHub's. Of MobileNet's and MobileNetV2's it has none: there it stands for their names.
    Raises WeightsError for a file that is not there.
    """
    entry = backbone(name)
    file = _file_to_load(entry, weights, size)
    if file:
        return file_identity(name, file)
    keras_version = f"keras-{importlib.metadata.version('keras')}"
    if weights == "none":
        return f"none:{name}:{keras_version}:seed-{UNTRAINED_SEED}{_drawn_elsewhere()}"
    return f"imagenet:{name}:{entry.imagenet.preset or keras_version}"


def weights_of_row(row: ModelSettings) -> str:
    """The `weights_identity` of a row's backbones, in their order."""
    return " + ".join(weights_identity(one.backbone, one.weights, one.side(row.size)) for one in row.branches)


def _drawn_elsewhere() -> str:
    """The backend, where it is not TensorFlow: each draws other numbers from one seed."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    return "" if backend == "tensorflow" else f":{backend}"


def trunk_of(model: keras.Model) -> keras.Model:
    """The bare backbone inside what `build_backbone` returns."""
    import keras

    return next(layer for layer in model.layers if isinstance(layer, keras.Model))


def batchnorms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Every batch-norm layer of a model and of the models inside it."""
    import keras

    # _flatten_layers is how Keras itself walks nested models; there is no public walk.
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]


def _calibrate_batchnorm(model: keras.Model, trunk: keras.Model, frame: int, size: int) -> None:
    """Set each batch norm's moving statistics to those of one fixed batch.

    A plain random start shrinks pooled features to 1e-5 and below, which a head's batch norm (epsilon 1e-3) flattens
    to one constant output.
    """
    import keras

    from leukoscope.data.synthetic.cells import fixed_cells
    from leukoscope.imaging.framing import frame_and_resize

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
