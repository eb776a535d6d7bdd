"""A saved fold gives the same numbers on OpenVINO as in Keras, and evaluating it takes no TensorFlow."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from leukoscope.config.rows import ModelSettings
from leukoscope.core.errors import DataError
from leukoscope.features.backbones import build_backbone
from leukoscope.training.assembly import trainable_model
from leukoscope.training.heads import build_head
from leukoscope.training.saved_folds import fold_numbers, fold_sigmoids, load_folds, save_fold
from leukoscope.training.task import TrainedFold

ROW = ModelSettings(backbone="mobilenetv2", weights="none", frame=300, size=64, width=16)


def frozen(number: int) -> TrainedFold:
    keras.utils.set_random_seed(number)
    return TrainedFold(number, build_head(ROW, 24, f"fold_{number}"), [])


def finetuned(number: int) -> TrainedFold:
    backbone = build_backbone(ROW.backbone, "none", 300, 64)
    return TrainedFold(number, trainable_model(backbone, build_head(ROW, 1280), "max", f"fold_{number}"), [])


INPUTS = {
    frozen: np.random.default_rng(0).normal(size=(70, 24)).astype(np.float32),
    finetuned: np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3)).astype(np.float32),
}


@pytest.mark.parametrize("kind", [frozen, finetuned])
def test_a_saved_fold_gives_what_keras_gives(kind: type, tmp_path: Path) -> None:
    fold = kind(3)
    save_fold(fold, tmp_path)
    inputs = INPUTS[kind]
    expected = fold.model.predict(inputs, verbose=0)
    assert expected.std() > 0
    np.testing.assert_allclose(fold_sigmoids(tmp_path, 3)(inputs), expected, atol=1e-5)
    np.testing.assert_array_equal(load_folds(tmp_path)[3].predict(inputs, verbose=0), expected)


def test_a_fold_predicts_without_tensorflow(tmp_path: Path) -> None:
    save_fold(frozen(0), tmp_path)
    code = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from leukoscope.training.saved_folds import fold_sigmoids\n"
        "print(fold_sigmoids(Path(sys.argv[1]), 0)(np.ones((2, 24), np.float32)).shape)\n"
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert ran.stdout.split("\n")[:2] == ["(2, 2)", "[]"]


def test_folds_are_listed_by_number(tmp_path: Path) -> None:
    for number in (10, 9, 0):
        (tmp_path / f"fold_{number}.keras").touch()
    assert fold_numbers(tmp_path) == [0, 9, 10]


def test_a_folder_without_folds_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no trained folds: run dvc repro"):
        fold_numbers(tmp_path)


def with_code(path: Path) -> None:
    """A model whose layer is a Python function, as anybody may send one."""
    framed = keras.Input((4,))
    keras.Model(framed, keras.layers.Lambda(lambda x: print("code ran") or x)(framed)).save(path)


def naming_a_function(path: Path) -> None:
    """A sound model whose description was changed to name a function of Python's instead of a layer."""
    frozen(0).model.save(path)
    with zipfile.ZipFile(path) as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    config = json.loads(members["config.json"])
    config["config"]["layers"][1] |= {"module": "os", "class_name": "system", "config": {"command": "touch ran"}}
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as changed:
        for name, content in members.items():
            changed.writestr(name, content)


def cut_off(path: Path) -> None:
    frozen(0).model.save(path)
    path.write_bytes(path.read_bytes()[:3000])


@pytest.mark.parametrize("spoil", [with_code, naming_a_function, cut_off])
def test_a_model_that_is_not_data_alone_is_refused_in_one_line(
    spoil: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    spoil(tmp_path / "fold_0.keras")
    capfd.readouterr()
    with pytest.raises(DataError, match=r"fold_0\.keras is not a model that can be loaded as data alone") as error:
        load_folds(tmp_path)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["fold_0.keras"]
    assert "code ran" not in capfd.readouterr().out
