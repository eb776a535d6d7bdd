"""MLflow's store: where it is, how it is opened, and what happens to it when its checkout moves.

Unless MLFLOW_TRACKING_URI names another, the store is `mlruns/mlflow.db` with its artifacts in `mlruns/artifacts`.
MLflow writes absolute artifact locations into the database; `open_store` rewrites them where the database lies
elsewhere than they say, so runs and registered models load after their checkout was moved or copied (in a copy of the
database, where it may only be read).
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from leukoscope.core import checkout, files
from leukoscope.core.errors import RegistryError
from leukoscope.core.paths import inside

if TYPE_CHECKING:
    from mlflow import MlflowClient


# MLflow reads these when it is imported, which every function below does for itself: it takes seconds.
for _name, _value in (
    ("MLFLOW_DISABLE_TELEMETRY", "true"),
    ("DO_NOT_TRACK", "true"),
    ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
    ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3"),  # 15 s for a server to come back; MLflow's own 7 take four minutes
    ("MLFLOW_HTTP_REQUEST_TIMEOUT", "30"),
):
    os.environ.setdefault(_name, _value)

DATABASE = "mlflow.db"
ARTIFACTS = "artifacts"
EXPERIMENT_PREFIX = "leukoscope/"
SQLITE = "sqlite:///"
LOCK_WAIT_SECONDS = 60
LOCKED = "database is locked"  # as SQLite has it
# They tell of each of 60 migrations of a new store, that an environment made by uv holds no pip, and once more, in
# several lines, of every error that is raised.
NOISY = ("alembic", "mlflow.store.db.utils", "mlflow.utils.environment")

# Every column of MLflow's database that holds an artifact location.
LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI where it is set, else the SQLite database in the checkout's mlruns."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{checkout.mlruns() / DATABASE}"


def shown_uri(uri: str) -> str:
    """The URI, or any text that holds some, without users' names and passwords."""
    return re.sub(r"//[^/\s]*@", "//", uri)


@contextmanager
def answering() -> Iterator[None]:
    """Turn what MLflow's store raises into RegistryError: one line, without the password that a URI may hold."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, sqlite3.Error) as error:
        raise RegistryError(f"{unanswered(error)}: {_what_to_do(LOCKED in str(error))}") from error


def unanswered(error: Exception) -> str:
    """What a store said instead of an answer, in one line without a password."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return shown_uri(f"MLflow's store {tracking_uri()} does not answer ({reason})")


def _what_to_do(is_locked: bool) -> str:
    root = local_root(tracking_uri())
    if is_locked:
        return "another process writes to it: run the same command again once that one has ended; nothing is lost"
    if root and not os.access(root, os.W_OK):
        return f"this user may only read {root}, which is enough to predict"
    if root:
        return "upgrade it with uv run mlflow db upgrade, or move mlruns away and run uv run dvc repro -f -s register"
    return "start it, or mend MLFLOW_TRACKING_URI, and run the same command again: nothing is lost"


def local_root(uri: str) -> Path | None:
    """The folder of a SQLite store, absolute, beside whose database the artifacts lie; None for any other store."""
    return Path(uri.removeprefix(SQLITE)).resolve().parent if uri.startswith(SQLITE) else None


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock `name` of a local store against other processes.

    A server keeps its own order, and who may only read a store changes nothing that needs one.
    """
    root = local_root(tracking_uri())
    if root is None or (root.exists() and not os.access(root, os.W_OK)):
        yield
        return
    with files.locked(root / f"{name}.lock"):
        yield


def open_store() -> MlflowClient:
    """A client of the store, which is created if it is not there and relocated if it was moved.

    Raises RegistryError where the store does not open.
    """
    from mlflow import MlflowClient

    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    uri = tracking_uri()
    root = local_root(uri)
    with answering(), locked("store"):
        if root and (root / Path(uri).name).exists():
            uri = f"{SQLITE}{_relocated(root / Path(uri).name)}"
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return client


def _relocated(database: Path) -> Path:
    """The database after `relocate`; where it was moved and may not be written, a copy that goes with this process."""
    root = database.resolve().parent
    if os.access(root, os.W_OK):
        relocate(database, root)
        return database
    folder = tempfile.TemporaryDirectory(prefix="leukoscope-")
    copy = Path(shutil.copyfile(database, Path(folder.name) / database.name))
    if not relocate(copy, root):
        return database
    atexit.register(folder.cleanup)
    return copy


def relocate(database: Path, root: Path) -> bool:
    """Make every artifact location point below the folder `root`, in one transaction; true if any had to change."""
    connection = sqlite3.connect(database, timeout=LOCK_WAIT_SECONDS)
    try:
        with connection:
            recorded = _recorded_root(connection)
            if recorded in (None, str(root)):
                return False
            for table, column in LOCATIONS:
                connection.execute(
                    f"UPDATE {table} SET {column} = :root || substr({column}, length(:recorded) + 1) "
                    f"WHERE substr({column}, 1, length(:recorded) + 1) = :recorded || '/'",
                    {"root": str(root), "recorded": recorded},
                )
    finally:
        connection.close()
    return True


def _recorded_root(connection: sqlite3.Connection) -> str | None:
    """The folder that our experiments' locations name; None where there is no experiment of ours yet."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone():
        return None
    ours = connection.execute(
        "SELECT name, artifact_location FROM experiments WHERE substr(name, 1, ?) = ?",
        (len(EXPERIMENT_PREFIX), EXPERIMENT_PREFIX),
    )
    for name, location in ours:
        beside = f"/{ARTIFACTS}/{name.removeprefix(EXPERIMENT_PREFIX)}"
        if location.endswith(beside):
            return str(location.removesuffix(beside))
    return None


@contextmanager
def unless_there() -> Iterator[None]:
    """Pass over the refusal to make what another process has made since it was looked for: a server has no lock."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def merged(write: Callable[..., object], *words: str) -> None:
    """Call `write`, one of a client's methods that put a value in the place of another, and again if it is refused.

    A server looks for a row and then makes it: of two processes that give a tag or an alias its first value at the same
    moment one is refused, and finds the other's row when it asks again.
    """
    from mlflow.exceptions import MlflowException

    try:
        write(*words)
    except MlflowException as error:
        if error.error_code != "BAD_REQUEST":
            raise
        write(*words)


def experiment_of(client: MlflowClient, data_name: str) -> str:
    """The id of the data set's experiment, which is created, or restored if it was deleted.

    Raises RegistryError for a name that leads out of the folder of artifacts.
    """
    name = EXPERIMENT_PREFIX + data_name
    root = local_root(tracking_uri())
    artifacts = str(inside(root / ARTIFACTS, data_name, RegistryError)) if root else None
    with locked("store"):
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            with unless_there():
                client.create_experiment(name, artifact_location=artifacts)
            experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return experiment.experiment_id


@contextmanager
def default_store() -> Iterator[None]:
    """Make the store MLflow's default for a while, for those of its calls that take no client."""
    import mlflow

    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(tracking_uri())
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None makes MLflow forget it, and unsets the variable
