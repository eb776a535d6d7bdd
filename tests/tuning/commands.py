"""`leukoscope tune` in checkouts with data: started, watched from outside while it runs, and what it left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import mlflow
import optuna
from mlflow.entities import Run
from optuna.trial import FrozenTrial

from leukoscope.atomic import is_alive
from leukoscope.tracking import PARENT
from leukoscope.tuning.storage import JOURNAL, open_storage
from leukoscope.tuning.trials import PROCESS, SURPLUS
from tests.pipeline.checkout import Checkout, tiny_checkout

ROW, OTHER = "modified_mobilenet", "mobilenetv2"
PATIENCE_SECONDS = 240  # for what must come to pass on a busy machine, too


def checkout_with_data(folder: Path, *stages: str, **sections: Any) -> Checkout:
    """A tiny checkout where `dvc repro` has run for `stages`, with two rows under one protocol and short trainings."""
    made = tiny_checkout(folder, **{"protocols": ["subject"], "train": {"epochs": 2}, **sections})
    made.run("dvc", "repro", *stages)
    return made


def copy_of(checkout: Checkout, folder: Path, **sections: Any) -> Checkout:
    """The checkout copied with its features and runs, without its studies; `sections` of params.yaml are changed."""
    shutil.copytree(checkout.folder, folder, symlinks=True)
    copy = Checkout(folder)
    (folder / "mlruns" / JOURNAL).unlink(missing_ok=True)
    copy.set_params(copy.params() | sections)
    return copy


@contextmanager
def started(checkout: Checkout, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command of the product's that runs beside the test, with its output in `stdout` when it has ended."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "leukoscope", *words],
            cwd=checkout.folder,
            env=checkout.environment(),
            stdout=said,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        except BaseException:
            said.seek(0)
            print(said.read())
            raise
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()


def until(happened: Callable[[], Any], what: str, process: subprocess.Popen[str]) -> Any:
    """Wait for a truthy answer and return it; the process must not end before."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        answer = happened()
        if answer:
            return answer
        assert process.poll() is None, f"ended with {process.returncode} before there was {what}"
        time.sleep(0.1)
    raise AssertionError(f"waited {PATIENCE_SECONDS} s in vain for {what}")


# One for each URL: a test asks many times a second, and each would keep a connection.
kept_open = lru_cache(open_storage)


def studies(checkout: Checkout) -> dict[str, optuna.Study]:
    """The studies of the checkout's storage by name, as they are now."""
    storage = kept_open(checkout.params()["tune"].get("storage") or str(checkout.folder / "mlruns" / JOURNAL))
    return {name: optuna.load_study(study_name=name, storage=storage) for name in optuna.get_all_study_names(storage)}


def trials(checkout: Checkout, *states: str) -> list[FrozenTrial]:
    """The trials of the checkout's only study, of some states if they are named."""
    found = list(studies(checkout).values())
    if not found:
        return []
    (study,) = found
    return [trial for trial in study.trials if trial.state.name in states or not states]


def finished(checkout: Checkout) -> list[FrozenTrial]:
    return trials(checkout, "COMPLETE", "PRUNED")


def busy(checkout: Checkout) -> list[FrozenTrial]:
    """Running trials that have their values and whose process is alive."""
    running = trials(checkout, "RUNNING")
    return [trial for trial in running if trial.params and process_of(trial) and is_alive(process_of(trial))]


def process_of(trial: FrozenTrial) -> int:
    """The number of the process that runs or ran it; 0 before it has said so."""
    return int(trial.user_attrs.get(PROCESS, ":0").rpartition(":")[2])


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def runs(checkout: Checkout) -> tuple[list[Run], list[Run]]:
    """MLflow's runs of studies, and those of trials."""
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{checkout.folder / 'mlruns' / 'mlflow.db'}")
    (experiment,) = (found for found in client.search_experiments() if found.name == "leukoscope/tiny")
    everything = client.search_runs([experiment.experiment_id], max_results=1000)
    assert not [run.info.run_name for run in everything if run.info.status == "RUNNING"]
    parents = [run for run in everything if run.data.tags.get("kind") == "study"]
    of_studies = {run.info.run_id for run in parents}
    return parents, [run for run in everything if run.data.tags.get(PARENT) in of_studies]


def assert_nothing_was_lost(checkout: Checkout, total: int) -> None:
    """The study has its number of trials, each counted once, and MLflow has a run of each that ended."""
    counted = finished(checkout)
    assert len(counted) == total
    assert len({tuple(trial.params.values()) for trial in counted}) == total
    assert not trials(checkout, "RUNNING")
    parents, children = runs(checkout)
    assert len(parents) == 1
    ended = [trial for trial in trials(checkout, "COMPLETE", "PRUNED", "FAIL") if SURPLUS not in trial.user_attrs]
    assert sorted(int(run.data.tags["trial"]) for run in children) == [trial.number for trial in ended]
