"""Every backbone of the table: its scaling is Keras's own, and an untrained start still tells cells apart."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from leukoscope.core.errors import ConfigError, WeightsError
from leukoscope.data.synthetic.cells import fixed_cells
from leukoscope.features.backbones import (
    BACKBONES,
    RESNET18,
    RESNET18_PRESET,
    SCALINGS,
    build_backbone,
    trunk_of,
    weights_identity,
)
from leukoscope.imaging.framing import frame_and_resize

PREPROCESS = {
    "densenet121": keras.applications.densenet.preprocess_input,
    "efficientnetb3": keras.applications.efficientnet.preprocess_input,
    "inceptionv3": keras.applications.inception_v3.preprocess_input,
    "mobilenet": keras.applications.mobilenet.preprocess_input,
    "mobilenetv2": keras.applications.mobilenet_v2.preprocess_input,
    # The scale and offset in image_converter.json of KerasHub's preset.
    "resnet18": lambda pixels: (
        pixels * [0.017124753831663668, 0.01750700280112045, 0.017429193899782133]
        - [2.1179039301310043, 2.0357142857142856, 1.8044444444444445]
    ),
    "resnet50": keras.applications.resnet.preprocess_input,
    "vgg16": keras.applications.vgg16.preprocess_input,
}


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbones_scaling_is_its_own_preprocess_input(name: str) -> None:
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    inputs = keras.Input((8, 8, 3))
    scale = keras.Model(inputs, SCALINGS[BACKBONES[name].scaling](inputs))
    expected = np.asarray(PREPROCESS[name](pixels.copy()))
    np.testing.assert_allclose(scale(pixels), expected, atol=1e-4)


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
    with pytest.raises(ConfigError, match="75 pixels a side or more and is shown 64"):
        build_backbone("inceptionv3", "none", 300, 64)


@pytest.mark.parametrize("name", ["mobilenetv2", "resnet18"])
def test_a_weights_file_is_loaded_and_identified_by_its_content(name: str, tmp_path: Path) -> None:
    trunk = trunk_of(build_backbone(name, "none", 300, 64))
    path = tmp_path / "some.weights.h5"
    trunk.save_weights(path)
    loaded = trunk_of(build_backbone(name, str(path), 300, 64))
    for one, other in zip(trunk.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    before = weights_identity(name, str(path), 64)
    path.write_bytes(path.read_bytes() + b" ")
    assert weights_identity(name, str(path), 64) != before


@pytest.fixture
def preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, keras.Model]:
    """ResNet18's preset with random weights where KerasHub finds it without a network, and the model in it."""
    from kagglehub.cache import Cache
    from kagglehub.handle import parse_model_handle
    from keras_hub.models import ResNetBackbone

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kagglehub"))
    keras.utils.set_random_seed(3)
    model = ResNetBackbone(**RESNET18, image_shape=(64, 64, 3))
    handle = parse_model_handle(RESNET18_PRESET)
    folder = Path(Cache().get_path(handle))
    model.save_to_preset(str(folder))
    for file in folder.iterdir():
        Cache().mark_as_complete(handle, file.name)
    return folder, model


def test_a_preset_in_kerashubs_cache_is_imagenets_start(preset: tuple[Path, keras.Model]) -> None:
    folder, model = preset
    assert BACKBONES["resnet18"].imagenet.found(64) == folder / "model.weights.h5"
    loaded = trunk_of(build_backbone("resnet18", "imagenet", 300, 64))
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert weights_identity("resnet18", "imagenet", 64) == f"imagenet:resnet18:{RESNET18_PRESET}"


def test_a_presets_file_put_in_place_by_hand_is_taken(preset: tuple[Path, keras.Model]) -> None:
    folder, model = preset
    place = BACKBONES["resnet18"].imagenet.place(64)
    place.parent.mkdir(parents=True)
    (folder / "model.weights.h5").rename(place)
    loaded = trunk_of(build_backbone("resnet18", "imagenet", 300, 64))
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert weights_identity("resnet18", "imagenet", 64).startswith("file:resnet18:")


def test_a_weights_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent\.weights\.h5 of backbone mobilenetv2 is not there"):
        build_backbone("mobilenetv2", str(tmp_path / "absent.weights.h5"), 300, 64)


def test_weights_of_another_backbone_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "mobilenet.weights.h5"
    keras.applications.MobileNet(include_top=False, weights=None, input_shape=(64, 64, 3)).save_weights(path)
    with pytest.raises(WeightsError, match="does not fit backbone mobilenetv2"):
        build_backbone("mobilenetv2", str(path), 300, 64)


WEIGHTS_FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
NO_NETWORK = dict.fromkeys(("https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9")  # nothing listens there


@pytest.mark.parametrize("there", [None, b"half a download"], ids=["nothing there", "half a download there"])
def test_imagenet_weights_that_cannot_be_downloaded_are_an_error_and_no_random_start(
    tmp_path: Path, there: bytes | None
) -> None:
    """Keras compares a file that is there with its published hash."""
    if there:
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / WEIGHTS_FILE).write_bytes(there)
    script = "from leukoscope.features import backbones; backbones.build_backbone('mobilenetv2', 'imagenet', 300, 224)"
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **NO_NETWORK, "KERAS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "WeightsError: the ImageNet weights of mobilenetv2 could not be downloaded" in run.stderr
    assert f"put {WEIGHTS_FILE} into {tmp_path}/models" in run.stderr


def test_a_preset_that_cannot_be_downloaded_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**NO_NETWORK, "KERAS_HOME": str(tmp_path), "KAGGLEHUB_CACHE": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    where = f"put resnet_18_imagenet.weights.h5 .*{RESNET18_PRESET}.* into {tmp_path}/models"
    with pytest.raises(WeightsError, match=where):
        build_backbone("resnet18", "imagenet", 300, 64)


SIZES_WITH_A_FILE = {"mobilenet": (96, 128, 224), "mobilenetv2": (96, 224, 300)}  # the others have one for all sizes
SLOW_TO_BUILD = ("densenet121", "efficientnetb3")


@pytest.mark.filterwarnings("ignore:.*Weights for input shape .224, 224. will be loaded")
@pytest.mark.parametrize(
    ("name", "size"),
    [
        pytest.param(name, size, marks=pytest.mark.slow if name in SLOW_TO_BUILD else ())
        for name in BACKBONES
        if name != "resnet18"  # KerasHub's, which has its own test below
        for size in SIZES_WITH_A_FILE.get(name, (224,))
    ],
)
def test_the_tables_file_is_the_one_that_keras_asks_for(name: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from keras.src.utils import file_utils

    asked = []

    def no_network(fname: str, *_: object, **__: object) -> str:
        asked.append(fname.removeprefix(".").removesuffix(f".{os.getpid()}.part"))
        raise OSError("no network")

    monkeypatch.setattr(file_utils, "get_file", no_network)
    with pytest.raises(WeightsError, match="could not be downloaded"):
        build_backbone(name, "imagenet", 300, size)
    assert asked == [BACKBONES[name].imagenet.place(size).name]
