"""Processes that register into one registry at the same moment: one champion, the best, and no version lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from leukoscope import mlflow_store, registry
from tests.stores import checkout_with_store
from tests.trained_rows import write_row

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
# Each says that it is ready and waits for the word, so that all of them begin together.
REGISTER = """
import sys
import keras, mlflow
from leukoscope.promotion import register
from tests.trained_rows import images, params, splits
print("ready", flush=True)
input()
register(params(sys.argv[1]), images(), splits())
"""


def registering(row: str, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([sys.executable, "-c", REGISTER, row], cwd=folder, env=environment, text=True, **pipes)


def test_of_three_registrations_at_once_the_best_is_champion_and_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = checkout_with_store(tmp_path, monkeypatch)
    write_row(checkout, "good", skill=2)
    best = write_row(checkout, "best", skill=3)
    processes = [registering(row, checkout) for row in ("good", "best", "best")]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("now\n")
        process.stdin.flush()
    said = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], said
    assert sum("known already" in out for out, _ in said) == 1
    client = mlflow_store.open_store()
    versions = client.search_model_versions("name = 'leukoscope-cells'")
    assert sorted(version.tags["row"] for version in versions) == ["best", "good"]
    assert registry.champion("cells").identity == best["identity"]
    for version in versions:
        assert registry.load_champion("cells", version.version).version == str(version.version)
    models = client.search_logged_models([mlflow_store.experiment_of(client, "cells")])
    assert [model.status.value for model in models] == ["READY"] * 2
