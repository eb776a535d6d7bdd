"""Running a study: worker processes, a live line of how far it is, and what it came to."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from leukoscope.config.params import Compute
from leukoscope.core.errors import StudyError
from leukoscope.core.progress import BEHIND_ANOTHER, live_text, rate_in_words, time_in_words
from leukoscope.tuning.bench import Bench
from leukoscope.tuning.runs import mirror
from leukoscope.tuning.storage import open_storage, storage_errors, storage_url
from leukoscope.tuning.study import load_study, open_study
from leukoscope.tuning.trials import Tally, settle_stale_trials, this_process
from leukoscope.tuning.worker import Task, command

if TYPE_CHECKING:
    import optuna


THREAD_SETTINGS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
POLL_SECONDS = 0.5
MIRROR_SECONDS = 60


class Workers(Protocol):
    """Workers of a study that have been started."""

    def busy(self) -> bool:
        """Whether one of them is still at work."""

    def failures(self) -> int:
        """How many ended otherwise than they should, once none is at work; what they said has been shown."""


TaskOf = Callable[[int], Task]  # by the worker's number
# Starts workers for a study's tasks: as many as are wanted or as there is room for, and at most so many.
Start = Callable[[Compute, TaskOf, int | None, int], AbstractContextManager[Workers]]


def start_here(compute: Compute, task: TaskOf, wanted: int | None, most: int) -> AbstractContextManager[Workers]:
    """Workers as processes of this machine: `wanted` of them, or one for each core, but not more than `most`."""
    return _processes(task, min(wanted or os.cpu_count() or 1, most))


def run_study(
    bench: Bench, total: int, workers: int | None, *, another: bool = False, start: Start = start_here
) -> optuna.Study:
    """Begin or go on with the study on `bench` until `total` of its trials are finished, and return it.

    `start` starts `workers` of it, or as many as there is room for. Raises StudyError where the study was begun on
    something else, or where a worker fails. An interrupt ends the workers, whose trials are queued again, and goes on
    upwards.
    """
    url = storage_url(bench.params.tune.storage)
    compute = bench.params.compute
    if compute.engine == "ray" and "://" not in url:
        raise StudyError("compute.engine: ray needs a database in tune.storage, which workers elsewhere reach, too")
    study = open_study(bench, open_storage(url), another=another)
    settle_stale_trials(study)
    before = Tally.of(study)
    if before.finished < total:
        bench.prepare()
        # One that joins draws other values than those who are at it.
        stream = zlib.crc32(this_process().encode()) if before.running else 0
        parent = None if compute.engine == "ray" else os.getpid()

        def task(worker: int) -> Task:
            return Task(bench.name, bench.fold, url, study.study_name, total, stream + worker, parent)

        try:
            with start(compute, task, workers, total - before.finished) as running:
                _watch(study, running, before, total)
        finally:
            mirror(study)
    return load_study(url, study.study_name, bench)


@dataclass(frozen=True)
class _Processes:
    """Workers on this machine."""

    processes: list[subprocess.Popen[bytes]]

    def busy(self) -> bool:
        return None in [process.poll() for process in self.processes]  # all: who is not asked stays a zombie

    def failures(self) -> int:
        return sum(bool(process.returncode) for process in self.processes)


@contextmanager
def _processes(task: TaskOf, count: int) -> Iterator[Workers]:
    """A process for each task, each with its share of the cores; where this one is interrupted, so are they, once.

    They have a session of their own, since a terminal would interrupt them as well.
    """
    share = str(max(1, (os.cpu_count() or 1) // count))
    environment = {**dict.fromkeys(THREAD_SETTINGS, share), **os.environ, BEHIND_ANOTHER: "1"}
    processes = [
        subprocess.Popen(command(task(worker)), env=environment, start_new_session=True) for worker in range(count)
    ]
    try:
        yield _Processes(processes)
    finally:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in processes:
            process.wait()


def _watch(study: optuna.Study, workers: Workers, before: Tally, total: int) -> None:
    """Show how far the study is until its workers have ended. Raises StudyError where one of them failed."""
    started = time.monotonic()
    with live_text() as show:
        mirrored = started
        while workers.busy():
            show(_progress(study, before, total, time.monotonic() - started))
            time.sleep(POLL_SECONDS)
            if time.monotonic() - mirrored > MIRROR_SECONDS:
                with suppress(*storage_errors()):
                    mirror(study)
                mirrored = time.monotonic()
    if failed := workers.failures():
        raise StudyError(f"{failed} workers failed; what they said stands above")


def _progress(study: optuna.Study, before: Tally, total: int, seconds: float) -> str:
    """Where a study is: finished trials, the best of them, rate and time left; or that its storage is away."""
    try:
        tally = Tally.of(study)
        best = f"best {study.best_value:.4f} (trial {study.best_trial.number})" if tally.complete else "no score yet"
    except storage_errors():
        return "waiting for the storage"
    done = tally.finished - before.finished
    rate = rate_in_words(done, seconds)
    pace = f", {rate}, {time_in_words(seconds / done * (total - tally.finished))} left" if rate else ""
    return f"{study.study_name}: {tally.finished} of {total} trials, {best}{pace}"
