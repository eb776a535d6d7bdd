"""Studies in a real PostgreSQL: processes that die, a server that is restarted, and a second machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial

from tests.fixtures.checkout import Checkout
from tests.fixtures.postgres import Server, postgres
from tests.fixtures.tune_commands import (
    ROW,
    assert_nothing_was_lost,
    busy,
    checkout_with_data,
    copy_of,
    kill,
    process_of,
    started,
    trials,
    until,
)

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

TOTAL = 12


@pytest.fixture
def server() -> Iterator[Server]:
    with postgres() as running:
        yield running


@pytest.fixture
def checkout(server: Server, tmp_path: Path) -> Checkout:
    tune = {"folds": 2, "repeats": 2, "storage": server.url}
    return checkout_with_data(tmp_path / "here", "split", "pack", tune=tune, train={"epochs": 24, "patience": 24})


def test_no_trial_is_lost_or_counted_twice_whatever_ends(checkout: Checkout, server: Server, tmp_path: Path) -> None:
    elsewhere = copy_of(checkout, tmp_path / "elsewhere")
    command = ("tune", ROW, "--trials", str(TOTAL), "--workers")
    with started(checkout, *command, "4") as here:
        until(lambda: len(busy(checkout)) == 4, "four workers with a trial each", here)
        ours = {process_of(trial) for trial in busy(checkout)}
        with started(elsewhere, *command, "1") as there:
            victim, *_ = until(lambda: [one for one in busy(checkout) if process_of(one) in ours], "one of ours", here)
            kill(process_of(victim))
            until(lambda: again(checkout, victim), "another try of the trial whose process was killed", here)
            server.control("restart", "-m", "fast")
            assert there.wait() == 0
        assert here.wait() == 2  # a worker was killed, and the command says so
    assert len(processes_of(checkout) - ours) <= 1  # the second machine's worker, where it came in time for a trial
    assert trials(checkout)[victim.number].state.name == "FAIL"
    assert [trial.state.is_finished() for trial in again(checkout, victim)] == [True]
    for folder in (checkout, elsewhere):
        assert_nothing_was_lost(folder, TOTAL)

    before = [(trial.number, trial.state, trial.values) for trial in trials(checkout)]
    assert elsewhere.leukoscope(*command, "4").stdout.splitlines()[-1].startswith("trials: ")
    assert [(trial.number, trial.state, trial.values) for trial in trials(checkout)] == before


def processes_of(checkout: Checkout) -> set[int]:
    """Who has run a trial, or runs one."""
    return {process_of(trial) for trial in trials(checkout)} - {0}


def again(checkout: Checkout, victim: FrozenTrial) -> list[FrozenTrial]:
    return [trial for trial in trials(checkout) if trial.params == victim.params and trial.number != victim.number]
