"""Runs in a real SQLite store."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow.entities import Run

from leukoscope.artifacts.decision import About, DataSet
from leukoscope.artifacts.metrics import Metrics
from leukoscope.config.params import Train
from leukoscope.core.errors import RegistryError
from leukoscope.core.processes import started
from leukoscope.tracking import pages
from leukoscope.tracking import runs as tracking
from leukoscope.tracking import store as mlflow_store
from tests.fixtures.stores import checkout_with_store, empty_checkout, free_port, served
from tests.fixtures.trained_rows import ROW, metrics_of, tuned_by_study, write_ensemble, write_row

ABOUT = About(
    row="a_row",
    protocol="subject",
    settings=ROW,
    mode=ROW.mode,
    data=DataSet(name="cells", kind="synthetic", hash="d" * 64),
    split_hash="5" * 64,
    weights_kind="untrained",
)
# The same in a process of its own.
TRAINING = f"""
from leukoscope.artifacts.decision import About
from leukoscope.config.params import Train
from leukoscope.tracking import runs as tracking
about = About.model_validate({ABOUT.as_json()!r})
"""
SRC = Path(__file__).parents[2] / "src"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return checkout_with_store(tmp_path, monkeypatch)


def epoch(fold: int, number: int, loss: float) -> dict[str, float]:
    return {"fold": fold, "epoch": number, "loss": loss, "val_loss": loss, "learning_rate": 0.003}


def runs(data_name: str = "cells") -> list[Run]:
    client = mlflow_store.open_store()
    return list(client.search_runs([mlflow_store.experiment_of(client, data_name)]))


def named(name: str) -> Run:
    return next(run for run in runs() if run.info.run_name == name)


def parents() -> list[Run]:
    return [run for run in runs() if tracking.PARENT not in run.data.tags]


def in_another_process(code: str, folder: Path, **more: Any) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": f"{SRC}{os.pathsep}{SRC.parent}"}
    return subprocess.Popen([sys.executable, "-c", code], cwd=folder, env=environment, text=True, **more)


def test_a_training_is_one_run_with_a_child_for_each_fold(checkout: Path) -> None:
    with tracking.training(ABOUT, Train()) as run:
        for fold in (0, 1):
            for number in (1, 2, 3):
                run.epoch(epoch(fold, number, 1 / number))
        run.finished("abc")
    parent = named("a_row - subject")
    assert parent.info.status == "FINISHED"
    assert parent.data.params["backbone"] == "mobilenetv2"
    assert parent.data.params["train.batch_size"] == "40"
    expected = {"identity": "abc", "leaky": "false", "data_kind": "synthetic", "weights_kind": "untrained"}
    assert expected.items() <= parent.data.tags.items()
    assert [used.dataset.name for used in parent.inputs.dataset_inputs] == ["cells"]
    client = mlflow_store.open_store()
    for fold in (0, 1):
        child = named(f"fold {fold}")
        assert child.data.tags[tracking.PARENT] == parent.info.run_id
        assert child.info.status == "FINISHED"
        history = client.get_metric_history(child.info.run_id, "val_loss")
        assert [(point.step, point.value) for point in history] == [(1, 1.0), (2, 0.5), (3, 1 / 3)]


@pytest.mark.parametrize(("error", "status"), [(RuntimeError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_what_breaks_a_training_off_is_its_runs_status(checkout: Path, error: type[BaseException], status: str) -> None:
    with pytest.raises(error), tracking.training(ABOUT, Train()) as run:
        run.epoch(epoch(0, 1, 0.7))
        raise error
    assert {found.info.status for found in runs()} == {status}
    assert named("fold 0").data.metrics["loss"] == 0.7


def test_runs_of_a_killed_process_are_closed_by_the_next_training(checkout: Path) -> None:
    code = f"""{TRAINING}
with tracking.training(about, Train()) as run:
    run.epoch({epoch(0, 1, 0.7)!r})
    print("training", flush=True)
    import time; time.sleep(60)
"""
    process = in_another_process(code, checkout, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "training\n"
    with tracking.training(ABOUT, Train()):
        assert [run.info.status for run in runs()] == ["RUNNING"] * 3  # a living process keeps its runs
    process.send_signal(signal.SIGKILL)
    process.wait()
    with tracking.training(ABOUT, Train()):
        pass
    assert sorted(run.info.status for run in runs()) == ["FINISHED", "FINISHED", "KILLED", "KILLED"]


def test_a_run_whose_process_s_number_went_to_another_is_closed_too(checkout: Path) -> None:
    """As it is in a container, where a command gets the number that it had before it was killed."""
    client = mlflow_store.open_store()
    experiment = mlflow_store.experiment_of(client, "cells")
    mine = {"process": f"{socket.gethostname()}:{os.getpid()}", "process_started": started(os.getpid())}
    client.create_run(experiment, tags=mine, run_name="living")
    client.create_run(experiment, tags={**mine, "process_started": "an earlier boot:1"}, run_name="killed")
    with tracking.training(ABOUT, Train()):
        pass
    assert named("living").info.status == "RUNNING"
    assert named("killed").info.status == "KILLED"


@pytest.mark.slow
def test_a_database_that_another_process_holds_costs_no_training(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(mlflow_store, "LOCK_WAIT_SECONDS", 0.5)
    holding = "import sqlite3; held = sqlite3.connect('mlruns/mlflow.db'); held.execute('BEGIN EXCLUSIVE'); "
    held = f"{holding} print('held', flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with tracking.training(ABOUT, Train()) as run:
        holder = in_another_process(held, checkout, **pipes)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        run.epoch(epoch(0, 1, 0.7))  # SQLite waits for 20 s
        run.epoch(epoch(0, 2, 0.6))
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "database is locked" in said
    assert "the training goes on without it" in said
    with pytest.raises(RegistryError, match="another process writes to it: run the same command again once"):
        mlflow_store.open_store()
    holder.communicate("\n")


def test_runs_of_another_host_are_left_alone(checkout: Path) -> None:
    client = mlflow_store.open_store()
    experiment = mlflow_store.experiment_of(client, "cells")
    client.create_run(experiment, tags={"process": f"not-{socket.gethostname()}:1"}, run_name="elsewhere")
    with tracking.training(ABOUT, Train()):
        pass
    assert named("elsewhere").info.status == "RUNNING"


def test_an_evaluation_joins_the_run_that_trained_the_model(checkout: Path) -> None:
    decision = write_row(checkout, "a_row", skill=2)
    with tracking.training(ABOUT, Train()) as run:
        run.finished(decision.identity)
    metrics = metrics_of(checkout, decision)
    tracking.log_evaluation(decision, metrics, checkout / "results/a_row-subject")
    (run,) = runs()
    assert run.data.metrics["test/auroc"] == metrics.test.estimate("auroc").value
    assert run.data.metrics["test/at_threshold/sensitivity"] == metrics.test.at_threshold("sensitivity").value
    assert run.data.tags["evaluated"] == "true"
    files = {file.relative_to(run.info.artifact_uri).as_posix() for file in Path(run.info.artifact_uri).rglob("*.*")}
    assert {"metrics.json", "roc.csv", "confusion.csv", "subjects.csv", "figures/roc.png"} == files


def test_a_model_from_a_cache_gets_a_run_and_a_second_evaluation_none(checkout: Path) -> None:
    decision = write_row(checkout, "a_row", skill=2)
    metrics, folder = metrics_of(checkout, decision), checkout / "results/a_row-subject"
    for _ in range(2):
        tracking.log_evaluation(decision, metrics, folder)
    (run,) = parents()
    assert run.info.status == "FINISHED"
    assert run.data.tags["identity"] == decision.identity
    client = mlflow_store.open_store()
    assert len(client.get_metric_history(run.info.run_id, "test/auroc")) == 1
    changed = Metrics({**metrics.content, "test": {**metrics.test.content, "auroc": 0.25}})
    tracking.log_evaluation(decision, changed, folder)
    assert parents()[0].data.metrics["test/auroc"] == 0.25


def test_rows_that_share_every_weight_keep_runs_of_their_own(checkout: Path) -> None:
    decision = write_row(checkout, "a_row", skill=2)
    twin = decision.model_copy(update={"row": "twin"})
    for each in (decision, twin):
        tracking.log_evaluation(each, metrics_of(checkout, decision), checkout / "results/a_row-subject")
    assert {run.info.run_name for run in parents()} == {"a_row - subject", "twin - subject"}


def test_an_ensemble_has_a_run_that_names_its_members(checkout: Path) -> None:
    for seed, row in enumerate(("one", "two")):
        write_row(checkout, row, skill=2, seed=seed)
    decision = write_ensemble(checkout, "both", "one", "two")
    tracking.log_evaluation(decision, metrics_of(checkout, decision), checkout / "results/both-subject")
    run = named("both - subject")
    assert {"row": "both", "members": "one, two", "identity": decision.identity}.items() <= run.data.tags.items()
    assert run.data.metrics["test/auroc"] == metrics_of(checkout, decision).test.estimate("auroc").value


def test_a_run_of_tuned_values_names_their_study_and_carries_the_mark(checkout: Path) -> None:
    with tracking.training(ABOUT.model_copy(update={"tuned": tuned_by_study(5)}), Train()):
        pass
    expected = {"tuned_by": "a-study", "mark": "tuned on tested groups"}
    assert expected.items() <= named("a_row - subject").data.tags.items()
    with tracking.training(ABOUT, Train()):
        pass
    assert [run.data.tags.get("mark") for run in parents()] == [None, "tuned on tested groups"]


def test_nulls_words_and_truth_values_are_no_metrics() -> None:
    content = {"test": {"auroc": 0.9, "n": 4, "indicative": True, "low": None, "reason": "few", "of": {"a": 1}}}
    assert Metrics(content).numbers() == {"test/auroc": 0.9, "test/n": 4.0, "test/of/a": 1.0}


@pytest.mark.parametrize("name", ["../other", "/tmp/other", "a/../../other"])
def test_a_data_sets_name_that_leads_out_of_the_store_is_refused(name: str, checkout: Path) -> None:
    with pytest.raises(RegistryError, match="leads outside"):
        mlflow_store.experiment_of(mlflow_store.open_store(), name)


def test_each_data_set_has_an_experiment_of_its_own(checkout: Path) -> None:
    for name in ("cells", "other.cells-2"):
        data = ABOUT.data.model_copy(update={"name": name})
        with tracking.training(ABOUT.model_copy(update={"data": data}), Train()):
            pass
    assert len(runs("cells")) == len(runs("other.cells-2")) == 1


def test_a_deleted_experiment_comes_back(checkout: Path) -> None:
    client = mlflow_store.open_store()
    client.delete_experiment(mlflow_store.experiment_of(client, "cells"))
    with tracking.training(ABOUT, Train()):
        pass
    assert len(runs()) == 1


def test_two_processes_may_open_a_store_that_is_not_there_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = empty_checkout(tmp_path, monkeypatch)
    code = f"""{TRAINING}
with tracking.training(about, Train()) as run:
    run.epoch({epoch(0, 1, 0.7)!r})
"""
    both = [in_another_process(code, root, stderr=subprocess.PIPE) for _ in range(2)]
    assert [(process.communicate()[1], process.returncode) for process in both] == [("", 0)] * 2
    assert len(parents()) == 2
    assert len({run.info.experiment_id for run in runs()}) == 1


def test_a_moved_checkout_keeps_its_runs_and_artifacts(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decision = write_row(checkout, "a_row", skill=2)
    tracking.log_evaluation(decision, metrics_of(checkout, decision), checkout / "results/a_row-subject")
    elsewhere = checkout.parent / "moved to a folder #2"
    shutil.move(checkout, elsewhere)
    monkeypatch.chdir(elsewhere)
    client = mlflow_store.open_store()
    run = tracking.run_of(client, mlflow_store.experiment_of(client, "cells"), decision)
    assert Path(run.info.artifact_uri).is_relative_to(elsewhere)
    artifact = Path(client.download_artifacts(run.info.run_id, "metrics.json"))
    assert artifact.read_bytes() == Path("results/a_row-subject/metrics.json").read_bytes()
    code = """
from pathlib import Path
from leukoscope.artifacts.decision import Decision
from leukoscope.artifacts.metrics import Metrics
from leukoscope.tracking import runs as tracking
results = Path("results/a_row-subject")
known = Metrics.read(results)
metrics = Metrics({**known.content, "test": {**known.test.content, "auroc": 0.25}})
tracking.log_evaluation(Decision.read(Path("models/a_row-subject")), metrics, results)
"""
    assert in_another_process(code, elsewhere).wait() == 0
    (run,) = parents()
    assert run.data.metrics["test/auroc"] == 0.25
    assert not checkout.exists()  # nothing is written to where it was
    assert not mlflow_store.relocate(elsewhere / "mlruns/mlflow.db", elsewhere / "mlruns")


def test_a_sibling_whose_path_begins_alike_is_not_rewritten(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = mlflow_store.open_store()
    mlflow_store.experiment_of(client, "cells")
    client.create_experiment("by hand", artifact_location=f"{checkout}/mlruns-of-mine/x")
    elsewhere = checkout.parent / "elsewhere"
    shutil.move(checkout, elsewhere)
    assert mlflow_store.relocate(elsewhere / "mlruns/mlflow.db", elsewhere / "mlruns")
    with sqlite3.connect(elsewhere / "mlruns/mlflow.db") as database:
        places = dict(database.execute("SELECT name, artifact_location FROM experiments").fetchall())
    assert places["by hand"] == f"{checkout}/mlruns-of-mine/x"
    assert places["leukoscope/cells"] == f"{elsewhere}/mlruns/artifacts/cells"


def test_every_column_of_mlflow_that_holds_a_location_is_known(checkout: Path) -> None:
    mlflow_store.open_store()
    with sqlite3.connect(checkout / "mlruns/mlflow.db") as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {(t, row[1]) for t in tables for row in database.execute(f"PRAGMA table_info({t})")}
    locations = {(t, c) for t, c in columns if c in ("artifact_uri", "artifact_location", "source", "storage_location")}
    not_ours = {("mcp_server_versions", "source"), ("evaluation_dataset_records", "source")}
    assert locations - not_ours == set(mlflow_store.LOCATIONS)


def test_a_store_that_does_not_open_says_what_to_do(checkout: Path) -> None:
    (checkout / "mlruns/mlflow.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(RegistryError, match=r"mlflow\.db does not answer .*move mlruns away"):
        mlflow_store.open_store()


def test_the_environment_may_name_another_store(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(checkout / "mlruns", tmp_path / "shared store")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/shared store/mlflow.db")
    with tracking.training(ABOUT, Train()):
        pass
    (run,) = runs()
    assert Path(run.info.artifact_uri).is_relative_to(tmp_path / "shared store")


def test_a_server_of_ones_own_has_its_own_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example.org")
    with pytest.raises(RegistryError, match=r"open https://mlflow\.example\.org in a browser"):
        pages.ui_command(5000)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.mark.slow
def test_the_pages_show_the_runs(checkout: Path, port: int) -> None:
    with tracking.training(ABOUT, Train()):
        pass
    asked = f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/experiments/get-by-name?experiment_name=leukoscope/cells"
    with served(port), urllib.request.urlopen(asked, timeout=30) as answer:
        assert b"leukoscope/cells" in answer.read()


@pytest.mark.slow
def test_a_server_that_dies_costs_no_training_and_its_epochs_are_logged_later(
    checkout: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = write_row(checkout, "a_row", skill=2)
    folder = checkout / "results/a_row-subject"
    history = [epoch(fold, number, 1 / number) for fold in (0, 1) for number in (1, 2)]
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    code = f"""{TRAINING}
with tracking.training(about, Train()) as run:
    run.epoch({history[0]!r})
    print("training", flush=True)
    input()
    for values in {history[1:]!r}:
        run.epoch(values)
    run.finished({decision.identity!r})
"""
    mlflow_store.experiment_of(mlflow_store.open_store(), "cells")
    uri = f"http://somebody:planted-secret@127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with served(port):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        process = in_another_process(
            code, checkout, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "training\n"
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
    _, said = process.communicate("\n")
    assert process.returncode == 0
    assert said.count("\n") == 1
    assert said.startswith(f"warning: MLflow's store http://127.0.0.1:{port} does not answer")
    assert "planted-secret" not in said

    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(RegistryError, match="start it, or mend MLFLOW_TRACKING_URI, and run the same command again"):
        tracking.log_evaluation(decision, metrics_of(checkout, decision), folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with served(port):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        tracking.log_evaluation(decision, metrics_of(checkout, decision), folder)
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert [run.info.status for run in runs()] == ["FINISHED"] * 3 + ["KILLED"] * 2  # newest first
    parent = parents()[0]
    assert parent.data.tags["identity"] == decision.identity
    client = mlflow_store.open_store()
    logged = [
        (int(run.data.tags["fold"]), point.step, point.value)
        for run in runs()
        if run.data.tags.get(tracking.PARENT) == parent.info.run_id
        for point in client.get_metric_history(run.info.run_id, "val_loss")
    ]
    assert sorted(logged) == [(values["fold"], values["epoch"], values["val_loss"]) for values in history]
