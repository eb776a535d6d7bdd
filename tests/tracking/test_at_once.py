"""Processes that register into one registry at the same moment: one champion, the best, and no version lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from leukoscope.registry import loading
from leukoscope.registry.versions import champion, champion_or_none
from leukoscope.tracking import store
from tests.fixtures.stores import checkout_with_store, free_port, served
from tests.fixtures.trained_rows import write_row

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
# Each says that it is ready and waits for the word, so that all of them begin together.
REGISTER = """
import json, os, signal, sys
import keras, mlflow
from leukoscope.registry import versions
from leukoscope.registry.promotion import register
from tests.fixtures.trained_rows import images, params, splits
{before}
print("ready", flush=True)
input()
registered = register(params(sys.argv[1]), images(), splits())
logged = registered.logged
print(f"version {{logged.version}} of {{logged.model}}{{'' if logged.new else ', known already'}}", flush=True)
print(json.dumps([registered.content["promoted"], registered.content["reason"]]))
"""
# Between the answer that it is better than the champion and its promotion, a process waits for the word once more.
HESITATE = """
let_pass = versions.let_pass
def hesitating(*words):
    print("asked", flush=True)
    input()
    return let_pass(*words)
versions.let_pass = hesitating
"""
DIE = "versions.set_champion = lambda *words: os.kill(os.getpid(), signal.SIGKILL)"


def registering(row: str, folder: Path, before: str = "") -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    command = [sys.executable, "-c", REGISTER.format(before=before), row]
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes)


def wait_for(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    said = []
    while not said or said[-1] not in (f"{word}\n", ""):
        said.append(process.stdout.readline())
    assert said[-1], process.communicate()


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("now\n")
    process.stdin.flush()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return checkout_with_store(tmp_path, monkeypatch)


@pytest.fixture
def server(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same checkout with a server of its store, which every process in it talks to."""
    port = free_port()
    with served(port):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        yield checkout


def test_of_three_registrations_at_once_the_best_is_champion_and_none_is_lost(checkout: Path) -> None:
    best = register_three(checkout, ("good", "best", "best"), known_already=1)
    assert champion("cells").identity == best


def test_three_that_begin_a_server_s_registry_together_lose_nothing_either(server: Path) -> None:
    """Experiment, registered model, data set and versions are made by whoever is first."""
    best = register_three(server, ("good", "best", "other"), known_already=0)
    assert champion("cells").identity == best


def test_the_first_value_of_a_tag_is_given_by_many_at_once(server: Path) -> None:
    """Whoever comes second to a server's database finds the row of whoever came first."""
    client = store.open_store()
    experiment = store.experiment_of(client, "cells")
    tags = [f"tag {number}" for number in range(20) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda tag: store.merged(client.set_experiment_tag, experiment, tag, "value"), tags))
    assert {tag: client.get_experiment(experiment).tags[tag] for tag in tags} == dict.fromkeys(tags, "value")


def register_three(checkout: Path, rows: tuple[str, ...], known_already: int) -> str:
    """Three processes at once; returns the identity of the best row's model."""
    skill = {"good": 2, "best": 3, "other": 1.8}
    identity = {row: write_row(checkout, row, skill=skill[row]).identity for row in rows}
    processes = [registering(row, checkout) for row in rows]
    for process in processes:
        wait_for(process, "ready")
    for process in processes:
        go_on(process)
    said = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], said
    assert sum("known already" in out for out, _ in said) == known_already
    client = store.open_store()
    versions = client.search_model_versions("name = 'leukoscope-cells'")
    assert sorted(version.tags["row"] for version in versions) == sorted(set(rows))
    for version in versions:
        assert loading.load_champion("cells", version.version).version == str(version.version)
    models = client.search_logged_models([store.experiment_of(client, "cells")])
    assert [model.status.value for model in models] == ["READY"] * len(set(rows))
    return identity["best"]


def test_a_worse_one_that_promotes_last_on_a_server_gives_the_place_back(server: Path) -> None:
    write_row(server, "good", skill=2)
    best = write_row(server, "best", skill=3)
    late = registering("good", server, HESITATE)
    wait_for(late, "ready")
    go_on(late)
    wait_for(late, "asked")  # there is no champion, it has heard
    other = registering("best", server)
    wait_for(other, "ready")
    other_said = other.communicate("now\n")
    assert json.loads(other_said[0].splitlines()[-1])[0], other_said
    assert champion("cells").identity == best.identity
    late_said = late.communicate("now\n")
    promoted, reason = json.loads(late_said[0].splitlines()[-1])
    assert not promoted, late_said
    assert reason.startswith("AUROC 0.")
    assert reason.endswith("of the champion, best")
    assert champion("cells").identity == best.identity


def test_a_kill_between_a_version_and_its_promotion_costs_nothing(checkout: Path) -> None:
    best = write_row(checkout, "best", skill=3)
    killed = registering("best", checkout, DIE)
    wait_for(killed, "ready")
    killed.communicate("now\n")
    assert killed.returncode == -signal.SIGKILL
    assert champion_or_none("cells") is None
    again = registering("best", checkout)
    wait_for(again, "ready")
    out, _ = again.communicate("now\n")
    assert "version 1 of leukoscope-cells, known already" in out
    assert champion("cells").identity == best.identity
