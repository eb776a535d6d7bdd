"""`leukoscope weights`: what is on this machine, said without TensorFlow."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from leukoscope.cli.words import of_weights
from leukoscope.config.params import Params
from leukoscope.core.errors import ConfigError
from leukoscope.doctor import checkout as doctor
from leukoscope.features.backbones import BACKBONES
from leukoscope.features.inventory import starts


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kagglehub"))
    (tmp_path / "models").mkdir()
    return tmp_path


def line(text: str, *words: str) -> str:
    (found,) = (line for line in text.splitlines() if line.split()[: len(words)] == list(words))
    return " ".join(found.split()[len(words) :])


def text_of(params: Params) -> str:
    """What `leukoscope weights` prints."""
    return of_weights(starts(params))


def params(**rows: dict) -> Params:
    return Params(models={name: {"size": 128, **row} for name, row in rows.items()})


def test_every_backbone_has_its_file_and_whether_it_is_here(folder: Path) -> None:
    rows = params(one={"backbone": "mobilenetv2"}, two={"backbone": "mobilenetv2", "size": 224})
    (folder / "models" / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_128_no_top.h5").touch()
    text = text_of(rows)
    assert str(folder / "models") in text
    for name in BACKBONES:
        assert name in text
    assert line(text, "mobilenetv2", "128").startswith("yes mobilenet_v2")
    assert line(text, "mobilenetv2", "224") == "no mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
    assert line(text, "one", "mobilenetv2", "at", "128") == "imagenet, here"
    assert line(text, "two", "mobilenetv2", "at", "224") == "imagenet, to be downloaded"


def test_a_half_downloaded_preset_is_not_here(folder: Path) -> None:
    from kagglehub.cache import Cache
    from kagglehub.handle import parse_model_handle

    handle = parse_model_handle(BACKBONES["resnet18"].imagenet.preset)
    rows = params(one={"backbone": "resnet18"})
    file = Path(Cache().get_path(handle, "model.weights.h5"))
    file.parent.mkdir(parents=True)
    file.touch()
    assert line(text_of(rows), "resnet18", "128").startswith("no ")
    Cache().mark_as_complete(handle, "model.weights.h5")
    assert line(text_of(rows), "resnet18", "128") == f"yes {file}"


def test_a_rows_own_file_is_here_or_missing(folder: Path) -> None:
    (folder / "mine.weights.h5").touch()
    rows = params(
        one={"backbone": "vgg16", "weights": f"{folder}/mine.weights.h5"},
        two={"backbone": "vgg16", "weights": "nowhere.weights.h5"},
        three={"backbone": "vgg16", "weights": "none"},
    )
    text = text_of(rows)
    assert line(text, "one", "vgg16", "at", "128") == f"{folder}/mine.weights.h5, here"
    assert line(text, "two", "vgg16", "at", "128") == "nowhere.weights.h5, MISSING"
    assert line(text, "three", "vgg16", "at", "128") == "none: an untrained start"


def test_a_coarser_scale_starts_from_the_file_of_its_own_size(folder: Path) -> None:
    beside = {"backbone": "mobilenet", "weights": "imagenet", "shrink": 2}
    text = text_of(params(one={"backbone": "mobilenet", "size": 256, "beside": beside}))
    assert line(text, "one", "mobilenet", "at", "256") == line(text, "one", "mobilenet", "at", "128")
    assert line(text, "mobilenet", "256") == "no mobilenet_1_0_224_tf_no_top.h5"
    assert line(text, "mobilenet", "128") == "no mobilenet_1_0_128_tf_no_top.h5"


def test_the_doctor_looks_for_the_files_that_the_command_lists(folder: Path) -> None:
    beside = {"backbone": "mobilenetv2", "weights": "imagenet", "shrink": 2}
    rows = params(one={"backbone": "mobilenetv2", "size": 256, "beside": beside})
    names = {size: file_of(rows, size) for size in (256, 128)}
    assert names[256] != names[128]
    assert doctor.weights(rows).words.startswith("ImageNet's for mobilenetv2 at 256, mobilenetv2 at 128 are not here")
    for size, name in names.items():
        with h5py.File(folder / "models" / name, "w"):
            pass
        assert line(text_of(rows), "one", "mobilenetv2", "at", str(size)) == "imagenet, here"
        assert f"mobilenetv2 at {size}" not in doctor.weights(rows).words
    assert doctor.weights(rows) == ("ok", "2 files, all of them whole", "")


def file_of(rows: Params, size: int) -> str:
    """The file that the command lists as not here."""
    return line(text_of(rows), "mobilenetv2", str(size)).removeprefix("no ")


def test_an_unknown_backbone_is_an_error(folder: Path) -> None:
    with pytest.raises(ConfigError, match="unknown backbone 'vgg17'"):
        text_of(params(one={"backbone": "vgg17"}))


def test_the_command_imports_neither_keras_nor_tensorflow() -> None:
    script = (
        "import sys; sys.argv = ['leukoscope', 'weights']\n"
        "sys.modules['keras'] = sys.modules['keras_hub'] = sys.modules['tensorflow'] = None\n"
        "from leukoscope.cli.commands import main; main()"
    )
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=root, env=os.environ, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "modified_mobilenet" in ran.stdout
