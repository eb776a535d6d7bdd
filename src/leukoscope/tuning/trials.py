"""A study's trials: which of them count, and what becomes of those whose process died.

A study's number of trials is that of all its processes: finished ones (complete or pruned) and those that live
processes run at this moment. Failed ones do not count; a trial whose process died is failed and its values are tried
again.
"""

from __future__ import annotations

import contextlib
import os
import socket
import warnings
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from leukoscope.core.processes import is_alive

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial


GRACE_SECONDS = 60  # without a sign of life
TRIES = 3  # of the same values: what kills its process every time is not tried for ever

# A trial's attributes.
PROCESS = "process"  # who runs it
SCORES = "scores"  # of its inner folds
TRIES_AGAIN = "tries_again"  # the number of the first trial with its values, and how many there have been
SURPLUS = "surplus"  # two processes had asked for the last trial at once, and this was the later one


@dataclass(frozen=True)
class Tally:
    """How many trials are in each state; `surplus` ones are not among the failed."""

    complete: int
    pruned: int
    failed: int
    running: int
    waiting: int

    @classmethod
    def of(cls, study: optuna.Study) -> Tally:
        """Count the study's trials."""
        from optuna.trial import TrialState

        trials = [trial for trial in study.get_trials(deepcopy=False) if SURPLUS not in trial.user_attrs]
        states = ("COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING")
        return cls(*(sum(trial.state == TrialState[state] for trial in trials) for state in states))

    @property
    def finished(self) -> int:
        """The trials that count."""
        return self.complete + self.pruned

    def __str__(self) -> str:
        return f"trials: {self.complete} complete, {self.pruned} pruned, {self.failed} failed"


def claims_before(study: optuna.Study, number: int) -> int:
    """How many trials with lower numbers count, run or wait: it is one too many where that is the study's total."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    return sum(trial.number < number and trial.state != TrialState.FAIL for trial in trials)


def this_process() -> str:
    """Who runs a trial: the host and the process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def settle_stale_trials(study: optuna.Study, *, own: bool = False) -> None:
    """Fail the running trials whose process is dead, and queue their values again.

    On this machine processes are looked up, elsewhere a database's heartbeats tell. With `own` those of this process
    too: it knows that it runs none.
    """
    import optuna
    from optuna.trial import TrialState

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        is_own = own and trial.user_attrs.get(PROCESS) == this_process()
        if is_own or _is_dead(trial):
            # Another process may have settled it in this moment; then it has queued the values, too.
            with contextlib.suppress(ValueError, RuntimeError):
                study.tell(trial.number, state=TrialState.FAIL)
                try_again(study, trial, counts=not is_own)


def _is_dead(trial: FrozenTrial) -> bool:
    host, _, pid = trial.user_attrs.get(PROCESS, "").rpartition(":")
    if not pid:  # killed before it could say who it is, if it has been running for long
        return datetime.now() - (trial.datetime_start or datetime.now()) > timedelta(seconds=GRACE_SECONDS)
    return host == socket.gethostname() and not is_alive(int(pid))


def try_again(study: optuna.Study, trial: FrozenTrial, *, counts: bool = True) -> None:
    """Queue a failed trial's values, unless they have been tried often enough.

    A try that was interrupted, or whose storage went away, does not count: its values were not to blame.
    """
    first, tries = trial.user_attrs.get(TRIES_AGAIN, [trial.number, 1])
    values = {**trial.system_attrs.get("fixed_params", {}), **trial.params}  # what it was queued with, and suggested
    if values and tries < TRIES:
        study.enqueue_trial(values, user_attrs={TRIES_AGAIN: [first, tries + counts]})
