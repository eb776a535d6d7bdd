"""What decision.json says a model consists of."""

from pathlib import Path
from typing import Literal

import keras
import pytest

from leukoscope.artifacts.decision import Parameters, parameters_of
from leukoscope.config.rows import ModelSettings
from leukoscope.core.files import write_json
from leukoscope.features.architecture import describe, whole_row
from leukoscope.features.engine import LAYERS_FILE
from leukoscope.features.passes import BackbonePass
from leukoscope.training.assembly import trainable_model
from leukoscope.training.heads import build_head

ROW = ModelSettings(backbone="mobilenetv2", size=32, width=16)


@pytest.fixture
def backbone() -> keras.Model:
    """A small network in the place of a backbone: its scaling, then a trunk of pictures."""
    trunk = keras.Sequential(
        [keras.Input((32, 32, 3)), keras.layers.Conv2D(8, 3, strides=4), keras.layers.BatchNormalization()],
        name="trunk",
    )
    pixels = keras.Input((32, 32, 3), name="pixels")
    return keras.Model(pixels, trunk(keras.layers.Rescaling(1 / 127.5)(pixels)))


def test_a_backbone_is_one_entry_and_a_head_is_told_layer_by_layer(backbone: keras.Model) -> None:
    model = trainable_model(backbone, build_head(ROW, 8), "max", "fold_0")
    layers = describe(model)
    assert [layer["kind"] for layer in layers] == [
        "Rescaling", "Sequential", "Max", "BatchNormalization", "Dense", "Dropout", "Dense",
    ]  # fmt: skip
    assert [layer["output"] for layer in layers] == [[32, 32, 3], [8, 8, 8], [8], [8], [16], [16], [2]]
    assert layers[4]["detail"] == "relu, kernel L2 0.016, activity L1 0.006, bias L1 0.006"
    assert layers[5]["detail"] == "rate 0.2"


def test_every_weight_is_counted_once_and_those_that_train_apart(backbone: keras.Model) -> None:
    model = trainable_model(backbone, build_head(ROW, 8), "max", "fold_0")
    assert parameters_of(describe(model)) == Parameters(
        total=model.count_params(), trainable=sum(weight.numpy().size for weight in model.trainable_weights)
    )


@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_a_frozen_row_consists_of_the_same_layers_and_trains_its_head_alone(
    backbone: keras.Model, pooling: Literal["max", "avg"], tmp_path: Path
) -> None:
    head = build_head(ROW, 8)
    row = ROW.model_copy(update={"pooling": pooling})
    write_json(tmp_path / LAYERS_FILE, describe(backbone))
    frozen = whole_row(BackbonePass(row, row.branches[0]).layers(tmp_path / "backbone.xml", 8), head)
    finetuned = whole_row(None, trainable_model(backbone, head, pooling, "fold_0"))
    assert [(layer["kind"], layer["output"], layer["parameters"]) for layer in frozen] == [
        (layer["kind"], layer["output"], layer["parameters"]) for layer in finetuned
    ]
    assert parameters_of(frozen).total == parameters_of(finetuned).total
    assert parameters_of(frozen).trainable == sum(weight.numpy().size for weight in head.trainable_weights)


def test_a_regularizer_of_strength_0_is_not_told(backbone: keras.Model) -> None:
    row = ROW.model_copy(update={"kernel_l2": 0.0, "activity_l1": 0.0, "bias_l1": 0.0})
    (hidden,) = (layer for layer in describe(build_head(row, 8)) if layer["name"] == "hidden")
    assert hidden["detail"] == "relu"
