"""Every backbone of the table: its scaling is Keras's own, and an untrained start still tells cells apart."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from leukoscope.data.pack import frame_and_resize
from leukoscope.data.synthetic import fixed_cells
from leukoscope.errors import ConfigError, WeightsError
from leukoscope.models.backbones import BACKBONES, SCALINGS, build_backbone, trunk_of, weights_identity

MODULES = {
    "densenet121": keras.applications.densenet,
    "efficientnetb3": keras.applications.efficientnet,
    "inceptionv3": keras.applications.inception_v3,
    "mobilenet": keras.applications.mobilenet,
    "mobilenetv2": keras.applications.mobilenet_v2,
    "resnet50": keras.applications.resnet,
    "vgg16": keras.applications.vgg16,
}


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbones_scaling_is_its_own_preprocess_input(name: str) -> None:
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    inputs = keras.Input((8, 8, 3))
    scale = keras.Model(inputs, SCALINGS[BACKBONES[name].scaling](inputs))
    expected = np.asarray(MODULES[name].preprocess_input(pixels.copy()))
    np.testing.assert_allclose(scale.predict(pixels, verbose=0), expected, atol=1e-4)


@pytest.mark.parametrize("name", ["mobilenetv2", pytest.param("efficientnetb3", marks=pytest.mark.slow)])
def test_untrained_features_keep_a_useful_scale_and_differ_between_cells(name: str) -> None:
    cells = np.stack([frame_and_resize(cell, 300, 64) for cell in fixed_cells(8, 123)]).astype(np.float32)
    pooled = build_backbone(name, "none", 300, 64).predict(cells, verbose=0).max(axis=(1, 2))
    assert 0.1 < pooled.std() < 100
    assert np.median(pooled.std(axis=0)) > 0.03  # the head's batch norm has epsilon 1e-3


def test_an_untrained_start_is_always_the_same() -> None:
    first, second = (build_backbone("mobilenetv2", "none", 300, 32).get_weights() for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_unknown_backbone_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'resnet5'.*resnet50"):
        build_backbone("resnet5", "none", 300, 64)


def test_a_picture_too_small_for_the_backbone_is_refused() -> None:
    with pytest.raises(ConfigError, match="75 pixels or more"):
        build_backbone("inceptionv3", "none", 300, 64)


def test_a_weights_file_is_loaded_and_identified_by_its_content(tmp_path: Path) -> None:
    trunk = trunk_of(build_backbone("mobilenetv2", "none", 300, 64))
    path = tmp_path / "some.weights.h5"
    trunk.save_weights(path)
    loaded = trunk_of(build_backbone("mobilenetv2", str(path), 300, 64))
    for one, other in zip(trunk.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    before = weights_identity("mobilenetv2", str(path))
    path.write_bytes(path.read_bytes() + b" ")
    assert weights_identity("mobilenetv2", str(path)) != before


def test_a_weights_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent\.weights\.h5 of backbone mobilenetv2 is not there"):
        build_backbone("mobilenetv2", str(tmp_path / "absent.weights.h5"), 300, 64)


def test_weights_of_another_backbone_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "mobilenet.weights.h5"
    keras.applications.MobileNet(include_top=False, weights=None, input_shape=(64, 64, 3)).save_weights(path)
    with pytest.raises(WeightsError, match="does not fit backbone mobilenetv2"):
        build_backbone("mobilenetv2", str(path), 300, 64)


def test_imagenet_weights_that_cannot_be_downloaded_are_an_error_and_no_random_start(tmp_path: Path) -> None:
    nothing_listens_there = dict.fromkeys(("https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9")
    script = "from leukoscope.models import backbones; backbones.build_backbone('mobilenetv2', 'imagenet', 300, 224)"
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **nothing_listens_there, "KERAS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "WeightsError: the ImageNet weights of mobilenetv2 could not be downloaded" in run.stderr
    assert f"put mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5 into {tmp_path}/models" in run.stderr
