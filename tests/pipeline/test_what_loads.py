"""Starting costs: which heavy packages each stage and each command loads, as noted by the processes themselves."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.pipeline.checkout import Checkout, tiny_checkout

pytestmark = pytest.mark.slow

NOTES = Path(__file__).with_name("loaded")
STAGES: dict[str, set[str]] = {}
COMMANDS: dict[tuple[str, ...], set[str]] = {
    ("--help",): set(),
}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "loaded.jsonl"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, log: Path) -> Checkout:
    """A checkout after a `dvc repro` of one row under one protocol, noted in `log`."""
    made = tiny_checkout(tmp_path_factory.mktemp("checkout"), protocols=["subject"], ensembles={})
    run_noted(made, log, "dvc", "repro")
    return made


def run_noted(checkout: Checkout, log: Path, *command: str) -> None:
    path = checkout.environment()["PYTHONPATH"]
    checkout.run(*command, LOADED_LOG=str(log), PYTHONPATH=f"{NOTES}{os.pathsep}{path}")


def loaded(log: Path) -> list[tuple[list[str], set[str]]]:
    """The noted processes in the order of their ends: their words and what they had loaded."""
    return [(note["words"], set(note["loaded"])) for note in map(json.loads, log.read_text().splitlines())]


def test_a_stage_loads_what_it_computes_with_alone(finished: Checkout, log: Path) -> None:
    stages: dict[str, set[str]] = {}
    for words, packages in loaded(log):
        if words[0].startswith("stages/"):
            stages.setdefault(Path(words[0]).stem, set()).update(packages)
    assert stages == STAGES


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_loads_what_it_needs_alone(finished: Checkout, tmp_path: Path, words: tuple[str, ...]) -> None:
    log = tmp_path / "loaded.jsonl"
    run_noted(finished, log, "leukoscope", *words)
    ((_, packages),) = loaded(log)
    assert packages == COMMANDS[words]
