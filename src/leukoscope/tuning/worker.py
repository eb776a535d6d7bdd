"""One process of a study: it runs trials until the study has its number. `python -m leukoscope.tuning` starts one."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from leukoscope.core.errors import StudyError
from leukoscope.tuning.bench import Bench
from leukoscope.tuning.space import Values, distributions, suggested
from leukoscope.tuning.storage import HEARTBEAT_SECONDS, open_storage, shown_url, storage_errors
from leukoscope.tuning.study import PAPER, load_study
from leukoscope.tuning.trials import PROCESS, SCORES, SURPLUS, Tally, claims_before, settle_stale_trials, this_process

if TYPE_CHECKING:
    import optuna


POLL_SECONDS = 1.0
STORAGE_PATIENCE_SECONDS = 120  # a database that is restarted comes back
RANDOM_TRIALS = 10  # before the sampler has enough to go by


class Abandoned(Exception):
    """The command that started this process is gone."""


@dataclass(frozen=True)
class Task:
    """What a worker is told: the study and its number of trials, its own part of the seed, and who started it.

    `parent` is the process whose end is the worker's, None where another program sees to that.
    """

    row: str
    fold: int
    url: str
    study: str
    total: int
    stream: int
    parent: int | None

    def refuse_to_be_left_alone(self) -> None:
        """Raise Abandoned where the command that started this process is gone."""
        if self.parent is not None and os.getppid() != self.parent:
            raise Abandoned


def work(bench: Bench, task: Task) -> None:
    """Run trials of a study until its number of them is finished, by whomever; waits for those that others run.

    Raises StudyError where the storage does not come back.
    """
    while True:
        try:
            study = load_study(task.url, task.study, bench)
            settle_stale_trials(study, own=True)
            while (tally := Tally.of(study)).finished < task.total:
                task.refuse_to_be_left_alone()
                if tally.finished + tally.running < task.total or tally.waiting:
                    _run_one(study, bench, task)
                else:
                    time.sleep(POLL_SECONDS)
                    settle_stale_trials(study)
            return
        except Abandoned:
            return
        except _no_answer() as error:
            _await_storage(task.url, error)


def _run_one(study: optuna.Study, bench: Bench, task: Task) -> None:
    """Run one trial, and tell the study what it came to. What breaks it off has it settled, and its values queued.

    `study.optimize` would not do: where its storage goes away, it ends in an UnboundLocalError or an AssertionError.
    """
    import optuna

    study.sampler = _sampler([bench.params.tune.seed, len(study.get_trials(deepcopy=False)), task.stream])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that heartbeats are optimize's: `_heartbeats` sends them
            trial = study.ask()
        with _heartbeats(study, trial, task):
            outcome = _outcome(study, trial, bench, task)
        study.tell(trial, **outcome, skip_if_finished=True)
    except optuna.exceptions.UpdateFinishedTrialError:
        pass  # another machine took this one for dead, and has queued the values
    except storage_errors():
        raise  # there is nobody to tell before it is back
    except BaseException:
        settle_stale_trials(study, own=True)
        raise


def _outcome(study: optuna.Study, trial: optuna.Trial, bench: Bench, task: Task) -> dict[str, Any]:
    """What `study.tell` is to be told of the trial: its values, or the state that it ended in."""
    import optuna
    from optuna.trial import TrialState

    trial.set_user_attr(PROCESS, this_process())
    if claims_before(study, trial.number) >= task.total:  # two processes asked for the last trial at once
        trial.set_user_attr(SURPLUS, True)
        return {"state": TrialState.FAIL}
    values = suggested(trial, distributions(bench.params, bench.row))
    try:
        return {"values": _objective(bench, trial, values, task, prunable=values != study.user_attrs[PAPER])}
    except optuna.TrialPruned:
        return {"state": TrialState.PRUNED}


@contextmanager
def _heartbeats(study: optuna.Study, trial: optuna.Trial, task: Task) -> Iterator[None]:
    """Tell a database from a thread that the trial is being run; where it does not answer, the next time again."""
    if "://" not in task.url:
        yield
        return
    over = threading.Event()

    def beat() -> None:
        while True:
            with suppress(*storage_errors()):
                study._storage.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]  # a database's has it
            if over.wait(HEARTBEAT_SECONDS):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _sampler(seeds: list[int]) -> optuna.samplers.BaseSampler:
    """TPE over all settings together, seeded by how far the study is: it goes on after a kill as it would have."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=int(np.random.SeedSequence(seeds).generate_state(1)[0]),
            n_startup_trials=RANDOM_TRIALS,
            multivariate=True,
        )


def _objective(bench: Bench, trial: optuna.Trial, values: Values, task: Task, *, prunable: bool) -> float:
    """The mean AUROC over inner folds. The paper's values, which all others are held against, are never pruned."""
    import optuna

    scores: list[float] = []

    def report(value: float, step: int) -> None:
        trial.report(value, step)
        if prunable and trial.should_prune():
            trial.set_user_attr(SCORES, scores)
            raise optuna.TrialPruned

    def on_epoch(fold: int, epoch: Mapping[str, float]) -> None:
        task.refuse_to_be_left_alone()
        if bench.row.mode == "finetune":
            report(-epoch["val_loss"], fold * bench.epochs_of_a_fold + int(epoch["epoch"]))

    for fold, score in enumerate(bench.scored(values, on_epoch)):
        scores.append(score)
        if bench.row.mode == "frozen":
            report(score, fold)
    trial.set_user_attr(SCORES, scores)
    return float(np.mean(scores))


def _no_answer() -> tuple[type[Exception], ...]:
    """What a storage raises that does not open, or that goes away."""
    return StudyError, *storage_errors()


def _await_storage(url: str, error: Exception) -> None:
    """Return when the storage answers again. Raises StudyError, from `error`, where it does not in time."""
    until = time.monotonic() + STORAGE_PATIENCE_SECONDS
    while time.monotonic() < until:
        time.sleep(POLL_SECONDS)
        try:
            open_storage(url).get_all_studies()
        except _no_answer():
            continue
        return
    reason = str(error).splitlines()[0]
    raise StudyError(f"tune.storage {shown_url(url)} went away and did not come back ({reason})") from error


def command(task: Task) -> list[str]:
    """The command that makes a worker of a process."""
    return [sys.executable, "-m", "leukoscope.tuning", json.dumps(asdict(task))]
