"""Where studies are kept: a journal in mlruns/, or any database that Optuna takes."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leukoscope.core import checkout
from leukoscope.core.errors import StudyError
from leukoscope.tuning.trials import GRACE_SECONDS, try_again

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


JOURNAL = "studies.journal"
_BLOCK = 1 << 16
HEARTBEAT_SECONDS = 15  # of a database's trials, whose processes may be on other machines


def storage_url(configured: str | None) -> str:
    """The configured storage, or the journal of this checkout: a path is a journal's, everything else a database's."""
    return configured or str(checkout.mlruns() / JOURNAL)


def open_storage(url: str) -> BaseStorage:
    """The storage behind a URL or a journal's path. Raises StudyError where it does not open."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if "://" not in url:
        Path(url).parent.mkdir(parents=True, exist_ok=True)
        return _journal(url)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            return optuna.storages.RDBStorage(
                url,
                # A connection that a restarted server has closed is opened again instead of used.
                engine_kwargs={"pool_pre_ping": True},
                heartbeat_interval=HEARTBEAT_SECONDS,
                grace_period=GRACE_SECONDS,
                heartbeat_stale_trial_callback=try_again,
            )
        except (SQLAlchemyError, ModuleNotFoundError) as error:
            reason = str(error).splitlines()[0]
            raise StudyError(f"tune.storage {shown_url(url)} does not open ({reason})") from error


def _journal(path: str) -> BaseStorage:
    """A journal that goes on after a full disk, or a kill, has cut off its last line.

    Optuna passes over such a line while it is the last one, but writes the next one behind it: then none of the journal
    can be read.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

    class WholeLines(JournalFileBackend):
        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            lock.acquire()
            try:
                _cut_to_whole_lines(Path(path))
            finally:
                lock.release()
            super().append_logs(logs)

    lock = JournalFileSymlinkLock(path)
    return JournalStorage(WholeLines(path, lock))


def _cut_to_whole_lines(file: Path) -> None:
    with file.open("r+b") as journal:
        end = journal.seek(0, os.SEEK_END)
        whole = end
        while whole:
            start = max(0, whole - _BLOCK)
            journal.seek(start)
            newline = journal.read(whole - start).rfind(b"\n")
            if newline >= 0:
                whole = start + newline + 1
                break
            whole = start
        if whole < end:
            journal.truncate(whole)


def storage_errors() -> tuple[type[Exception], ...]:
    """What a storage raises that does not answer."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import DBAPIError

    return StorageInternalError, DBAPIError


def dashboard_command(configured: str | None, port: int) -> list[str]:
    """The command that serves Optuna's dashboard on 127.0.0.1. Raises StudyError where no study was begun yet."""
    url = storage_url(configured)
    if "://" not in url and not Path(url).exists():
        raise StudyError(f"{url} is not there: begin a study with uv run leukoscope tune ROW")
    return [str(Path(sys.executable).with_name("optuna-dashboard")), url, "--host", "127.0.0.1", "--port", str(port)]


def shown_url(url: str) -> str:
    """A storage's URL without a password."""
    from sqlalchemy.engine import make_url

    return make_url(url).render_as_string(hide_password=True) if "://" in url else url
