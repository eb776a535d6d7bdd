"""A cluster of two nodes, one of which is lost in the middle of everything: the same results as one machine's.

One checkout is left in peace; a copy of its data goes through embed, train and tune on the cluster, in the order of the
tests, and loses a node each time.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pandas as pd
import psutil
import psycopg
import pytest
import yaml
from optuna.trial import FrozenTrial

from leukoscope.config.params import Compute, load_params
from leukoscope.prediction.places import stored_below
from leukoscope.prediction.shards import Job, missing, shards_of
from leukoscope.registry.champion import Version
from leukoscope.registry.runtime import SCORING_FILE
from leukoscope.tuning.bench import Bench
from tests.fixtures.checkout import ROOT, TINY, Checkout, tiny_checkout
from tests.fixtures.nodes import Cluster
from tests.fixtures.postgres import Server, postgres
from tests.fixtures.stores import answering, free_port
from tests.fixtures.tune_commands import ROW, assert_nothing_was_lost, busy, finished, process_of, trials, until
from tests.prediction.conftest import decision

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.postgres]

ROWS = ["modified_mobilenet", "mobilenetv2"]
READ_BY_EMBED = ("split", "pack", "augment")
TRIALS = 8


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Checkout:
    """A checkout whose images are packed, and whose params name the cluster."""
    made = tiny_checkout(
        tmp_path_factory.mktemp("disturbed") / "checkout",
        protocols=["subject"],
        model_defaults={**TINY["model_defaults"], "views": 3},
        tune={"folds": 2, "repeats": 2},
    )
    made.run("dvc", "repro", *READ_BY_EMBED)
    made.set_params({**made.params(), "compute": {"engine": "ray", "address": cluster.address}})
    return made


@pytest.fixture(scope="module")
def database(cluster: Cluster) -> Iterator[Server]:
    """A PostgreSQL server that both nodes reach."""
    with postgres(cluster.network.addresses[0]) as server:
        with psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("CREATE DATABASE mlflow")  # Optuna's tables and MLflow's do not go together
        yield server


@pytest.fixture(scope="module")
def tracking(database: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the MLflow server that the compose file starts, here with this database and a folder."""
    (words,) = (
        service["command"].split()[1:]
        for service in yaml.safe_load((ROOT / "docs/tracking.compose.yaml").read_text())["services"].values()
        if "mlflow server" in service.get("command", "")
    )
    port = free_port()
    ours = {
        "--backend-store-uri": database.url.replace("/postgres", "/mlflow"),
        "--artifacts-destination": str(tmp_path_factory.mktemp("artifacts")),
        "--host": "127.0.0.1",
        "--port": str(port),
    }
    assert {word for word in words if word.startswith("--")} == set(ours)
    for option, value in ours.items():
        words[words.index(option) + 1] = value
    with answering([sys.executable, *words], port):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, disturbed: Checkout, tracking: str) -> Checkout:
    """A copy of it that has computed everything on this machine alone, with its runs on the server."""
    made = Checkout(tmp_path_factory.mktemp("in peace") / "checkout")
    shutil.copytree(disturbed.folder, made.folder, symlinks=True)
    made.set_params({**made.params(), "compute": {"engine": "local"}})
    made.run("dvc", "repro", "register", MLFLOW_TRACKING_URI=tracking)
    return made


def running(cluster: Cluster, *words: str, checkout: Checkout) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words,
        cwd=checkout.folder,
        env={**checkout.environment(), **cluster.environment},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def ends_well(process: subprocess.Popen[str]) -> str:
    said = process.communicate()[0]
    assert process.returncode == 0, said
    assert "Traceback" not in said
    return said


def at_work(cluster: Cluster, name: str) -> list[int]:
    """The processes of the second node that Ray has given to tasks or actors of this name."""
    found = []
    for pid in cluster.processes_of_second():
        try:
            if psutil.Process(pid).cmdline()[0].startswith(f"ray::{name}"):
                found.append(pid)
        except (psutil.NoSuchProcess, psutil.ZombieProcess, IndexError):
            continue
    return found


@pytest.fixture
def lose_a_node(cluster: Cluster) -> Iterator[Callable[[], None]]:
    """Ends the second node; afterwards the cluster has another one in its place."""
    yield cluster.lose_second
    cluster.join()


def test_embed_loses_a_node_and_no_bit_of_a_vector(
    cluster: Cluster, disturbed: Checkout, undisturbed: Checkout, lose_a_node: Callable[[], None]
) -> None:
    vectors = disturbed.folder / ".leukoscope" / "features"
    process = running(cluster, "dvc", "repro", "embed", checkout=disturbed)
    until(lambda: at_work(cluster, "MapWorker") and [*vectors.rglob("*.keys.npy")], "a shard of vectors", process)
    lose_a_node()
    ends_well(process)
    for row in ROWS:
        ours, theirs = (one.folder / "data/features" / row / "features.npy" for one in (disturbed, undisturbed))
        assert ours.read_bytes() == theirs.read_bytes()


def test_where_it_is_computed_makes_nothing_stale(disturbed: Checkout) -> None:
    params = disturbed.params()
    disturbed.set_params({**params, "compute": {"engine": "local"}})
    embedded = [f"embed@{row}" for row in ROWS]
    assert disturbed.run("dvc", "status", "--json", *embedded).stdout.strip() == "{}"
    disturbed.set_params(params)


def test_train_loses_a_node_and_ends_where_dvc_repro_would(
    cluster: Cluster, disturbed: Checkout, undisturbed: Checkout, lose_a_node: Callable[[], None]
) -> None:
    process = running(cluster, "leukoscope", "train", "--all", checkout=disturbed)
    until(
        lambda: at_work(cluster, "_train_and_evaluate") and [*(disturbed.folder / "models").glob(".*.part")],
        "a training on the second node",
        process,
    )
    lose_a_node()
    assert "2 of 2 rows and protocols trained and evaluated" in ends_well(process)
    for row in ROWS:
        for name in (f"results/{row}-subject/metrics.json", f"models/{row}-subject/decision.json"):
            assert (disturbed.folder / name).read_bytes() == (undisturbed.folder / name).read_bytes()
    assert disturbed.run("dvc", "status", "--json", "train", "evaluate").stdout.strip() == "{}"
    again = running(cluster, "leukoscope", "train", "--all", checkout=disturbed)
    assert "0 of 2 rows and protocols trained and evaluated" in ends_well(again)


def test_tune_loses_a_node_and_no_trial(
    cluster: Cluster,
    database: Server,
    disturbed: Checkout,
    undisturbed: Checkout,
    lose_a_node: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    params = disturbed.params()
    disturbed.set_params({**params, "tune": {**params["tune"], "storage": database.url}})
    process = running(cluster, "leukoscope", "tune", ROW, "--trials", str(TRIALS), checkout=disturbed)

    def there() -> list[FrozenTrial]:
        workers = at_work(cluster, "_work")
        return [trial for trial in busy(disturbed) if process_of(trial) in workers]

    victim, *_ = until(there, "a trial on the second node", process)
    lose_a_node()
    ends_well(process)
    assert_nothing_was_lost(disturbed, TRIALS)
    lost = trials(disturbed)[victim.number]  # perhaps with only some of its values: the next try draws the others
    assert lost.state.name == "FAIL"
    values = lost.params.items()
    again = [one for one in trials(disturbed) if values <= one.params.items() and one.number != lost.number]
    assert [one.state.is_finished() for one in again] == [True]
    monkeypatch.chdir(undisturbed.folder)
    bench = Bench.of(load_params(), ROW, 0)
    first = next(one for one in finished(disturbed) if one.state.name == "COMPLETE")
    assert first.user_attrs["scores"] == list(bench.scored(first.params))


def test_predict_writes_the_files_that_one_machine_writes(
    cluster: Cluster, undisturbed: Checkout, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    shutil.copytree(model_file.parent, (tmp_path / "version" / SCORING_FILE).parent)
    monkeypatch.setattr("leukoscope.prediction.shards.PICTURES", 16)
    monkeypatch.chdir(undisturbed.folder)
    from leukoscope.cluster.prediction import run_of

    made = {}
    for engine in ("local", "ray"):
        job = Job(Version(decision(0.5), "1"), str(tmp_path / engine))
        shards = shards_of(stored_below(["data/raw/images"]), job)
        compute = Compute(engine=engine, address=cluster.address)
        done = list(run_of(compute)(missing(shards, job.folder), job, tmp_path / "version"))
        assert len(done) == len(shards) > 5
        made[engine] = {path.name: path.read_bytes() for path in Path(job.folder).iterdir()}
    assert made["ray"] == made["local"]


def test_a_team_s_server_has_the_runs_and_the_champion_to_predict_with(
    undisturbed: Checkout, tracking: str, tmp_path: Path
) -> None:
    client = mlflow.MlflowClient(tracking_uri=tracking)
    (experiment,) = (found for found in client.search_experiments() if found.name == "leukoscope/tiny")
    runs = client.search_runs([experiment.experiment_id])
    named = {run.info.run_name for run in runs if "mlflow.parentRunId" not in run.data.tags}
    assert named == {f"{row} - subject" for row in ROWS}
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert not (undisturbed.folder / "mlruns").exists()

    def leukoscope(*words: str) -> str:
        return undisturbed.run("leukoscope", *words, MLFLOW_TRACKING_URI=tracking).stdout

    assert leukoscope("champion").startswith("champion: version 1, ")
    leukoscope("promote", "1", "--reason", "a person's choice")
    leukoscope("predict", "data/raw/images", "--parquet", str(tmp_path / "scores"))
    assert len(pd.read_parquet(tmp_path / "scores")) == len(pd.read_parquet(undisturbed.folder / "data/images.parquet"))
