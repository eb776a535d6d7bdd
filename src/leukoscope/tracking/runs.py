"""MLflow's runs: one for each row and ensemble under each protocol, with a child run for each fold that is trained.

Everything is logged explicitly. `metrics.json` is the truth and a run mirrors it: no id or time from here reaches an
output of the pipeline.
"""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leukoscope.artifacts.decision import About, DataSet, Decision
from leukoscope.artifacts.metrics import Metrics
from leukoscope.config.params import Train
from leukoscope.core import checkout
from leukoscope.core.checkout import HISTORY_FILE
from leukoscope.core.errors import disk_is_full
from leukoscope.core.processes import is_alive, started
from leukoscope.tracking.pages import NOTE, dress, in_a_sentence
from leukoscope.tracking.store import answering, experiment_of, locked, open_store, unanswered

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run


FLUSH_SECONDS = 2
PARENT = "mlflow.parentRunId"
COMMIT = "mlflow.source.git.commit"
MIRRORED = ("*.json", "*.csv", "importance/*.csv", "figures/*")
DIGEST_LENGTH = 36  # the most that MLflow keeps of a data set's digest; the tag data_hash has it whole


def about_tags(about: About) -> dict[str, str]:
    """The tags that say what a model is."""
    said = {
        "members": ", ".join((about.members or ()) if isinstance(about, Decision) else ()),
        "tuned_by": ", ".join(tuned.study for tuned in about.tunings),
        "mark": about.mark,
    }
    return {
        "row": about.row,
        **{name: words for name, words in said.items() if words},
        "protocol": about.protocol,
        "leaky": str(not about.honest).lower(),
        "data_name": about.data.name,
        "data_kind": about.data.kind,
        "data_hash": about.data.hash,
        "split_hash": about.split_hash,
        "weights_kind": about.weights_kind,
    }


def _settings(about: About) -> dict[str, Any]:
    return about.settings.model_dump(mode="json")


def circumstances() -> dict[str, str]:
    """The tags that say where a run comes from; what is not known is left out."""
    known = {
        COMMIT: git_commit(),
        "mlflow.source.name": Path(sys.argv[0]).name,
        "dvc_stage": os.environ.get("DVC_STAGE"),
        "dvc_experiment": os.environ.get("DVC_EXP_NAME"),
        "process": f"{socket.gethostname()}:{os.getpid()}",
        "process_started": started(os.getpid()),
    }
    return {name: value for name, value in known.items() if value}


def git_commit() -> str | None:
    """The commit that is checked out here; None outside a repository, and where git is not installed."""
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return found.stdout.strip() if found.returncode == 0 else None


def _now() -> int:
    return int(time.time() * 1000)


class TrainingRun:
    """A training in progress. `epoch` and `finished` are for the stage; `training` makes and ends it.

    Where the store stops answering (a server that died, a database that another process holds), the training goes on
    without it and says so once: what it lost is made up for when the row is evaluated (`run_of`). A full disk ends it.
    """

    def __init__(self, client: MlflowClient, experiment: str, about: About) -> None:
        self._client = client
        self._experiment = experiment
        self._tags = {**about_tags(about), **circumstances()}
        name = f"{about.row} - {about.protocol}"
        self.run_id = client.create_run(experiment, tags=self._tags, run_name=name).info.run_id
        self._fold: tuple[int, str] | None = None
        self._waiting: list[Metric] = []
        self._flushed = time.monotonic()
        self._lost = False

    def epoch(self, values: Mapping[str, float]) -> None:
        """Take one epoch as a dict of `training.fitting.HISTORY_COLUMNS`, to the child run of its fold.

        A new fold ends the one before. Values reach the store every two seconds and when a fold ends.
        """
        self._tell(lambda: self._log_epoch(values))

    def finished(self, identity: str) -> None:
        """Tag the run with the model that came of it."""
        self._tell(lambda: self._client.set_tag(self.run_id, "identity", identity))

    def end(self, status: str) -> None:
        """End the run and its open fold as FINISHED, FAILED or KILLED."""
        self._tell(lambda: self._end(status))

    def _tell(self, log: Callable[[], object]) -> None:
        from mlflow.exceptions import MlflowException

        if self._lost:
            return
        try:
            log()
        except MlflowException as error:
            if disk_is_full(error):  # which the results go to as well, or will
                raise
            self._lost = True
            lost = "the training goes on without it; evaluate logs its epochs once the store answers"
            print(f"warning: {unanswered(error)}: {lost}", file=sys.stderr)

    def _log_epoch(self, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        fold, step, now = int(values["fold"]), int(values["epoch"]), _now()
        if self._fold is None or self._fold[0] != fold:
            self._end_fold("FINISHED")
            tags = {**self._tags, PARENT: self.run_id, "fold": str(fold)}
            child = self._client.create_run(self._experiment, tags=tags, run_name=f"fold {fold}")
            self._fold = (fold, child.info.run_id)
        measured = {name: value for name, value in values.items() if name not in ("fold", "epoch")}
        self._waiting += [Metric(name, float(value), now, step) for name, value in measured.items()]
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._flush()

    def _end(self, status: str) -> None:
        self._end_fold(status)
        self._client.set_terminated(self.run_id, status)

    def _end_fold(self, status: str) -> None:
        if self._fold:
            self._flush()
            self._client.set_terminated(self._fold[1], status)
            self._fold = None

    def _flush(self) -> None:
        if self._fold and self._waiting:
            self._client.log_batch(self._fold[1], metrics=self._waiting)
        self._waiting = []
        self._flushed = time.monotonic()


@contextmanager
def training(about: About, settings: Train) -> Iterator[TrainingRun]:
    """A run around the training of one row under one protocol; `about` is `RowInputs.about`.

    The run ends FINISHED, or with whatever broke off the block: FAILED for an error, KILLED for an interrupt. Runs that
    a process of this host left open when it died are closed as KILLED first.
    """
    with answering():
        client, experiment = open_experiment(about.data.name)
        run = TrainingRun(client, experiment, about)
        _log_params(client, run.run_id, {**_settings(about), **flattened({"train": settings.model_dump()})})
        _log_dataset(client, run.run_id, about.data)
    status = "FAILED"
    try:
        yield run
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        run.end(status)


def open_experiment(data_name: str) -> tuple[MlflowClient, str]:
    """The store and the data set's experiment in it, with no run left open by a process of this host that died."""
    client = open_store()
    experiment = experiment_of(client, data_name)
    dress(client, experiment)
    close_runs_of_dead_processes(client, experiment)
    return client, experiment


def flattened(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, with dots in their names."""
    flat: dict[str, Any] = {}
    for name, value in content.items():
        inner = isinstance(value, Mapping)
        flat |= flattened(value, f"{prefix}{name}.") if inner else {prefix + name: value}
    return flat


def close_runs_of_dead_processes(client: MlflowClient, experiment: str) -> None:
    """End the runs that processes of this host left open when they died, as KILLED."""
    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        if process_is_dead(run.data.tags):
            client.set_terminated(run.info.run_id, "KILLED")


def process_is_dead(tags: Mapping[str, str]) -> bool:
    """Whether a process of this host made what carries these `circumstances`, and is no more."""
    host, _, pid = tags.get("process", "").rpartition(":")
    if host != socket.gethostname():
        return False
    began, now = tags.get("process_started"), started(int(pid))
    another = bool(began and now and began != now)  # has its number
    return another or not is_alive(int(pid))


def _log_params(client: MlflowClient, run_id: str, values: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    client.log_batch(run_id, params=[Param(name, str(value)) for name, value in values.items()])


def _log_dataset(client: MlflowClient, run_id: str, data: DataSet) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.exceptions import MlflowException

    source = json.dumps({"uri": checkout.IMAGES.as_posix()})  # relative: it holds wherever the checkout lies
    dataset = Dataset(data.name, data.hash[:DIGEST_LENGTH], source_type="local", source=source)
    inputs = DatasetInput(dataset, [InputTag("mlflow.data.context", "training"), InputTag("kind", data.kind)])
    # MLflow looks for the data set and then inserts it, so of two processes one may be refused; a server has no lock.
    with locked("store"):
        try:
            client.log_inputs(run_id, [inputs])
        except MlflowException:
            client.log_inputs(run_id, [inputs])


def run_of(
    client: MlflowClient, experiment: str, decision: Decision, history: Iterable[Mapping[str, float]] = ()
) -> Run:
    """The newest run of the model that decision.json describes; it is made, with its `history`, where there is none.

    There is none where a model came from DVC's cache instead of a training, or where its training lost the store.
    """
    wanted = {"identity": decision.identity, "row": decision.row, "protocol": decision.protocol}
    matching = " and ".join(f"tags.{name} = '{value}'" for name, value in wanted.items())
    found = client.search_runs([experiment], matching, max_results=1, order_by=["attributes.start_time DESC"])
    if found:
        return found[0]
    run = TrainingRun(client, experiment, decision)
    _log_params(client, run.run_id, _settings(decision))
    _log_dataset(client, run.run_id, decision.data)
    for values in history:
        run.epoch(values)
    run.end("FINISHED")
    run.finished(decision.identity)  # last, so that a run which a kill left half made is not taken for it
    return client.get_run(run.run_id)


@answering()
def log_evaluation(decision: Decision, metrics: Metrics, folder: Path) -> None:
    """Mirror metrics.json and the tables and figures of `folder` (results/<row>-<protocol>) in the model's run.

    Doing it again adds no run, and no point to a metric that has not changed.
    """
    from mlflow.entities import Metric, RunTag

    client, experiment = open_experiment(decision.data.name)
    run = run_of(client, experiment, decision, _epochs(folder / HISTORY_FILE))
    now = _now()
    said = {**about_tags(decision), "evaluated": "true", NOTE: in_a_sentence(decision, metrics)}
    changed = {name: value for name, value in metrics.numbers().items() if run.data.metrics.get(name) != value}
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(name, value, now, 0) for name, value in changed.items()],
        tags=[RunTag(name, words) for name, words in said.items()],
    )
    for pattern in MIRRORED:
        for file in sorted(folder.glob(pattern)):
            inside = file.parent.relative_to(folder).as_posix()
            client.log_artifact(run.info.run_id, str(file), None if inside == "." else inside)


def _epochs(history: Path) -> Iterator[dict[str, float]]:
    """The epochs of history.csv as `TrainingRun.epoch` takes them; none for an ensemble, which has no such file."""
    if history.exists():
        with history.open(newline="") as file:
            for row in csv.DictReader(file):
                yield {name: float(value) for name, value in row.items() if value}
