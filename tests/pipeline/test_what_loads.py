"""What each stage and each command loads, as noted by the processes themselves.

Heavy packages are what a start costs. The project's own files are what a stage must depend on in dvc.yaml.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.fixtures.checkout import TINY, Checkout, tiny_checkout
from tests.fixtures.stage_files import outside, stage_files, that_count, unused

pytestmark = pytest.mark.slow

NOTES = Path(__file__).with_name("loaded")
KERAS = {"keras", "matplotlib", "sklearn", "tensorflow"}  # Keras loads the other three
STAGES = {
    "fetch": set(),
    "validate": {"great_expectations"},
    "split": {"sklearn"},
    "plan": set(),
    "pack": set(),
    "augment": {"matplotlib"},
    "embed": {"openvino"} | KERAS,  # Keras where a backbone is converted, as here
    "train": {"mlflow", "openvino"} | KERAS,
    "evaluate": {"matplotlib", "mlflow", "openvino", "sklearn"},
    "members": set(),
    "ensemble": {"matplotlib", "mlflow", "sklearn"},
    "register": {"mlflow", "openvino"} | KERAS,  # Keras where a model is packaged, as here
    "report": {"sklearn"},
}
# A row of each mode, since each trains by modules of its own. Their names are the demo profile's, which replaces
# the rows and leaves their ensemble.
ROWS = {
    "modified_mobilenet": TINY["models"]["modified_mobilenet"],
    "proposed_efficientnetb3": {"backbone": "mobilenet", "mode": "finetune", "size": 32},
}
COMMANDS: dict[str, set[str]] = {
    "--help": set(),
    "audit": set(),
    "card": {"mlflow"},
    "doctor": {"mlflow"},
    "champion": {"mlflow"},
    "explain data/raw/images/C-NMC_Leukemia/testing_data": {"mlflow"} | KERAS,
    "explain --help": set(),
    "predict data/raw/images": {"mlflow", "openvino"},
    "profile demo": set(),
    "serve --help": set(),
    "summary": {"mlflow"},
    "table": set(),
    "tune --help": set(),
    "weights": set(),
}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "loaded.jsonl"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, log: Path) -> Checkout:
    """A checkout after a `dvc repro` of two rows and an ensemble under one protocol, noted in `log`."""
    made = tiny_checkout(
        tmp_path_factory.mktemp("checkout"),
        protocols=["subject"],
        models=ROWS,
        ensembles={"both": {"members": list(ROWS)}},
        train={"epochs": 3, "head_epochs": 1},
    )
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


def test_a_stage_loads_project_files_that_it_depends_on_and_no_others(finished: Checkout, log: Path) -> None:
    files: dict[str, set[str]] = {}
    for note in map(json.loads, log.read_text().splitlines()):
        if note["stage"]:
            files.setdefault(note["stage"].partition("@")[0], set()).update(note["files"])
    root = finished.folder
    deps = stage_files(root)
    assert set(files) == set(deps)
    counted = {stage: that_count(of_stage, root) for stage, of_stage in files.items()}
    assert {stage: outside(counted[stage], deps[stage]) for stage in deps} == {stage: [] for stage in deps}
    assert {stage: unused(counted[stage], deps[stage]) for stage in deps} == {stage: [] for stage in deps}


def test_an_embed_that_remembers_every_vector_loads_nothing(finished: Checkout, tmp_path: Path) -> None:
    log = tmp_path / "loaded.jsonl"
    run_noted(finished, log, "python", "stages/embed.py", "modified_mobilenet")
    ((_, packages),) = loaded(log)
    assert packages == set()


def test_a_notebook_scores_without_tensorflow(finished: Checkout, tmp_path: Path) -> None:
    log = tmp_path / "loaded.jsonl"
    code = "from leukoscope import load_champion; print(load_champion().predict('data/raw/images'))"
    run_noted(finished, log, "python", "-c", code)
    ((_, packages),) = loaded(log)
    assert packages == {"mlflow", "openvino"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_loads_what_it_needs_alone(finished: Checkout, tmp_path: Path, command: str) -> None:
    log = tmp_path / "loaded.jsonl"
    run_noted(finished, log, "leukoscope", *command.split())
    ((_, packages),) = loaded(log)
    assert packages == COMMANDS[command]
