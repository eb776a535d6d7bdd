"""A pipeline that is killed in every stage, run twice at once, starved of disk and moved: nothing is lost.

One checkout goes through all of it, in the order of the tests; another one is left in peace, to compare with.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.entities import LoggedModelStatus

from tests.fixtures.checkout import ROOT, TINY, Checkout, tiny_checkout

pytestmark = pytest.mark.slow

KILLED = Path(__file__).with_name("killed")
SECRET = f"planted-{secrets.token_hex(8)}"  # not even the copied tests hold it
# What a user's shell may hold when the pipeline runs; none of it concerns a run on synthetic cells.
SECRETS = {
    "KAGGLE_USERNAME": "somebody",
    "KAGGLE_KEY": SECRET,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "MLFLOW_TRACKING_TOKEN": SECRET,
    "HF_TOKEN": SECRET,
    "HTTPS_PROXY": f"http://somebody:{SECRET}@127.0.0.1:9",
}
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


@pytest.fixture(scope="module")
def said() -> list[str]:
    """All that the disturbed pipeline's commands wrote to the terminal."""
    return []


def repro(checkout: Checkout, **environment: str) -> subprocess.Popen[str]:
    """`dvc repro` in a process group of its own, which a kill may end as a whole, with secrets in its environment."""
    return subprocess.Popen(
        ["dvc", "repro"],
        cwd=checkout.folder,
        env={**checkout.environment(), **SECRETS, **environment},
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


def answers(folder: Path, question: str) -> list[tuple]:
    """What MLflow's database in the folder says."""
    with closing(sqlite3.connect(f"file:{folder}/mlruns/mlflow.db?mode=ro", uri=True)) as store:
        return store.execute(question).fetchall()


def test_two_kills_in_every_stage_change_no_digit(
    disturbed: Checkout, undisturbed: Checkout, said: list[str], tmp_path: Path
) -> None:
    disturbed.run("git", "remote", "add", "origin", f"https://somebody:{SECRET}@git.example.org/cells.git")
    path = f"{KILLED}{os.pathsep}{disturbed.environment()['PYTHONPATH']}"
    kills = {f"{stage} {moment}" for stage in STAGES for moment in ("writing", "ending")}
    for _ in kills:
        killed = repro(disturbed, KILLED_ONCE=str(tmp_path), PYTHONPATH=path)
        said.append(killed.communicate()[0])
        assert killed.returncode == -9, said[-1]
        for file in disturbed.folder.glob("results/*/metrics.json"):
            assert file.read_bytes() == metrics(undisturbed)[file.parent.name]
    last = repro(disturbed)
    said.append(last.communicate()[0])
    assert last.returncode == 0, said[-1]
    assert {kill.name for kill in tmp_path.iterdir()} == kills
    assert metrics(disturbed) == metrics(undisturbed)
    assert disturbed.stale() == {}
    assert half_files(disturbed) == []
    statuses = {status for (status,) in answers(disturbed.folder, "SELECT status FROM runs")}
    assert statuses == {"FINISHED", "KILLED"}
    models = {status for (status,) in answers(disturbed.folder, "SELECT status FROM logged_models")}
    assert models == {LoggedModelStatus.READY.to_int(), LoggedModelStatus.FAILED.to_int()}


def test_two_repros_at_once_end_in_one_result(disturbed: Checkout, said: list[str]) -> None:
    params = disturbed.params()
    disturbed.set_params({**params, "register": {"min_sensitivity": 0.01}})
    both = [repro(disturbed), repro(disturbed)]
    outputs = [process.communicate()[0] for process in both]
    said += outputs
    assert 0 in {process.returncode for process in both}, outputs
    for process, output in zip(both, outputs, strict=True):
        assert process.returncode == 0 or "lock" in output or "busy" in output
        assert "Traceback" not in output
    assert repro(disturbed).wait() == 0
    assert disturbed.stale() == {}
    assert half_files(disturbed) == []
    assert answers(disturbed.folder, "SELECT count(*) FROM model_versions") == [(1,)]
    assert answers(disturbed.folder, "SELECT alias, version FROM registered_model_aliases") == [("champion", 1)]


# A stage, what it writes where there is no room, and whether MLflow's store and the scratch files lie there too.
STARVED = {
    "packed arrays": ("pack", True),
    "features": ("embed modified_mobilenet", True),
    "a model": ("train modified_mobilenet subject", False),
    "the SQLite store": ("train modified_mobilenet subject", True),
}
KEPT = ("data", "models", "mlruns", ".leukoscope", "src", "stages")


@pytest.mark.mounts
@pytest.mark.parametrize("what", STARVED)
def test_a_full_disk_ends_a_stage_in_one_line_and_earlier_results_stay(
    what: str, disturbed: Checkout, small_disk: Callable[[int], Path], tmp_path: Path
) -> None:
    stage, with_its_store = STARVED[what]
    disk = small_disk(100 << 20)
    for name in KEPT:
        shutil.copytree(disturbed.folder / name, disk / name)
    shutil.copy(disturbed.folder / "params.yaml", disk)
    root = disk
    if not with_its_store:
        root = tmp_path / "root"
        for name in ("mlruns", ".leukoscope"):
            shutil.copytree(disk / name, root / name)
    fill(disk, leave=0 if what == "the SQLite store" else 100_000)
    before = contents(disk)
    script, *words = stage.split()
    ended = Checkout(disk).run("python", f"stages/{script}.py", *words, check=False, DVC_ROOT=str(root))
    assert ended.returncode == 2, ended.stderr
    assert "error: the disk is full: nothing half-written was left behind; make room" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert contents(disk) == before
    assert answers(disk, "PRAGMA integrity_check") == [("ok",)]


def fill(disk: Path, leave: int) -> None:
    """Leave so many bytes of the disk free."""
    with (disk / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - leave)


def contents(disk: Path) -> dict[str, str]:
    """The hash of every file, by its path."""
    return {
        str(file): hashlib.file_digest(file.open("rb"), "sha256").hexdigest()
        for file in disk.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_no_secret_of_the_environment_is_in_any_file_or_on_the_terminal(disturbed: Checkout, said: list[str]) -> None:
    """After all of the above, MLflow's database, DVC's files, reports and logs among them."""
    files = [file for file in disturbed.folder.rglob("*") if file.is_file() and not file.is_symlink()]
    assert {"mlflow.db", "dvc.lock", "index.html", "registered.json"} <= {file.name for file in files}
    holding = [file for file in files if SECRET.encode() in file.read_bytes()]
    assert holding == [disturbed.folder / ".git/config"]  # where the user put it
    assert not [words for words in said if SECRET in words]
