"""The memory of vectors follows the code that computes them."""

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leukoscope.features import memory
from leukoscope.features.memory import pass_name

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("library", ["keras", "keras-hub", "openvino"])
def test_another_version_of_a_library_has_another_memory(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    before = pass_name({"size": 64})
    monkeypatch.setattr(memory, "version", lambda name: "99" if name == library else version(name))
    assert pass_name({"size": 64}) != before


def test_changed_code_computes_anew_and_changed_words_do_not(tmp_path: Path) -> None:
    source = tmp_path / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    pooling, store = source / "leukoscope/features/pooling.py", tmp_path / "store"

    def embedded(name: str) -> tuple[np.ndarray, dict[str, Any]]:
        command = [sys.executable, "-m", "tests.fixtures.embed_once", str(store), str(tmp_path / name)]
        environment = {**os.environ, "PYTHONPATH": str(source)}
        ran = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        return np.load(tmp_path / name / "features.npy"), json.loads(ran.stdout)

    first, what_first_did = embedded("first")
    assert what_first_did == {"computed": 4, "keras": True}

    pooling.write_text("# A comment.\n" + pooling.read_text().replace('"""', '"""Other words: ', 1))
    again, what_again_did = embedded("again")
    assert what_again_did == {"computed": 0, "keras": False}
    np.testing.assert_array_equal(again, first)

    pooling.write_text(pooling.read_text().replace('"max": "max"', '"max": "min"'))
    changed, what_changed_did = embedded("changed")
    assert what_changed_did == {"computed": 4, "keras": True}
    assert (changed < first).any(axis=-1).all()
