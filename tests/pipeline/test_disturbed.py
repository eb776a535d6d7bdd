"""A pipeline that is killed in every stage, run twice at once, starved of disk and moved: nothing is lost.

One checkout goes through all of it, in the order of the tests; another one is left in peace, to compare with.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.pipeline.checkout import ROOT, TINY, Checkout, tiny_checkout

pytestmark = pytest.mark.slow

KILLED = Path(__file__).with_name("killed")
ROWS = ["modified_mobilenet", "mobilenetv2"]
STAGES = {script.stem for script in (ROOT / "stages").glob("*.py")} - {"_stage"}


def tiny(folder: Path) -> Checkout:
    ensembles = {"both": {"members": ROWS}}
    return tiny_checkout(folder, protocols=["subject"], ensembles=ensembles, train={**TINY["train"], "epochs": 3})


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    made = tiny(tmp_path_factory.mktemp("in peace") / "checkout")
    made.run("dvc", "repro")
    return made


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return tiny(tmp_path_factory.mktemp("disturbed") / "checkout")


def repro(checkout: Checkout, **environment: str) -> subprocess.Popen[str]:
    """`dvc repro` in a process group of its own, which a kill may end as a whole."""
    return subprocess.Popen(
        ["dvc", "repro"],
        cwd=checkout.folder,
        env={**checkout.environment(), **environment},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def metrics(checkout: Checkout) -> dict[str, bytes]:
    found = checkout.folder.glob("results/*/metrics.json")
    return {file.parent.name: file.read_bytes() for file in sorted(found)}


def half_files(checkout: Checkout) -> list[Path]:
    return [path for path in checkout.folder.rglob("*.part") if ".dvc" not in path.parts]


def statuses(checkout: Checkout) -> dict[str, set[str]]:
    with sqlite3.connect(checkout.folder / "mlruns/mlflow.db") as store:
        return {
            "runs": {status for (status,) in store.execute("SELECT status FROM runs")},
            "versions": {status for (status,) in store.execute("SELECT status FROM model_versions")},
        }


def test_a_kill_in_every_stage_changes_no_digit(disturbed: Checkout, undisturbed: Checkout, tmp_path: Path) -> None:
    path = f"{KILLED}{os.pathsep}{disturbed.environment()['PYTHONPATH']}"
    for _ in STAGES:
        killed = repro(disturbed, KILLED_ONCE=str(tmp_path), PYTHONPATH=path)
        said, _ = killed.communicate()
        if killed.returncode == 0:
            break
        assert killed.returncode == -9, said
        for table in disturbed.folder.glob("results/*/metrics.json"):
            assert table.read_bytes() == metrics(undisturbed)[table.parent.name]
    last = repro(disturbed)
    said, _ = last.communicate()
    assert last.returncode == 0, said
    assert {stage.name for stage in tmp_path.iterdir()} == STAGES
    assert metrics(disturbed) == metrics(undisturbed)
    assert disturbed.stale() == {}
    assert half_files(disturbed) == []
    assert statuses(disturbed)["runs"] == {"FINISHED", "KILLED"}
