"""Which trials of a study count, what becomes of those whose process died, and which study a command goes on with."""

import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from leukoscope.config.params import Params
from leukoscope.core.errors import StudyError
from leukoscope.tuning.storage import open_storage, shown_url
from leukoscope.tuning.study import PAPER, Identity, open_study
from leukoscope.tuning.trials import PROCESS, TRIES, Tally, claims_before, settle_stale_trials, this_process
from tests.fixtures.bench_of import bench_of


def make_params(**content) -> Params:
    rows = {"row": {"backbone": "mobilenetv2", "weights": "none"}, "other": {"backbone": "mobilenetv2", "size": 96}}
    return Params(models=rows, **content)


@pytest.fixture
def storage(tmp_path: Path) -> optuna.storages.BaseStorage:
    return open_storage(str(tmp_path / "mlruns" / "studies.journal"))


@pytest.fixture
def study(storage: optuna.storages.BaseStorage) -> optuna.Study:
    return optuna.create_study(storage=storage, direction="maximize")


def running(study: optuna.Study, process: str, dropout: float | None = 0.1) -> int:
    trial = study.ask()
    trial.set_user_attr(PROCESS, process)
    if dropout is not None:
        study.enqueue_trial({"dropout": dropout})
        study.tell(trial, state=TrialState.FAIL)
        trial = study.ask({"dropout": FloatDistribution(0, 0.6)})
        trial.set_user_attr(PROCESS, process)
    return trial.number


def a_dead_process() -> str:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return this_process().rpartition(":")[0] + f":{ended.pid}"


def test_the_first_trials_are_the_papers_values_and_then_the_rows_own(storage: optuna.storages.BaseStorage) -> None:
    rows = {"row": {"backbone": "mobilenetv2", "weights": "none", "dropout": 0.5}}
    study = open_study(bench_of(Params(models=rows), "row"), storage)
    first, second = (trial.system_attrs["fixed_params"] for trial in study.get_trials())
    assert first == study.user_attrs[PAPER]
    assert second == {**first, "dropout": 0.5}


def test_a_study_is_named_by_all_that_it_is_about(storage: optuna.storages.BaseStorage) -> None:
    identity = Identity.of(bench_of(make_params(), "row"))
    assert identity.name.startswith("synthetic-row-subject-fold0-frozen-")
    study = open_study(bench_of(make_params(), "row"), storage)
    again = open_study(bench_of(make_params(), "row"), storage)
    assert (again.study_name, len(again.get_trials())) == (study.study_name, 1)
    assert open_study(bench_of(make_params(), "other"), storage).study_name != study.study_name


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("split", {"tune": {"seed": 8}}),
        ("space", {"tune": {"space": {"dropout": {"low": 0, "high": 0.5}}}}),
        ("settings", {"train": {"epochs": 7}}),
        ("settings", {"model_defaults": {"rotations": 4}}),
    ],
)
def test_a_study_is_not_gone_on_with_on_something_else(
    storage: optuna.storages.BaseStorage, what: str, change: dict
) -> None:
    first = open_study(bench_of(make_params(), "row"), storage)
    other = bench_of(make_params(**change), "row")
    with pytest.raises(StudyError, match=rf"{first.study_name} was begun on other .*{what}.* --another"):
        open_study(other, storage)
    second = open_study(other, storage, another=True)
    assert second.study_name != first.study_name
    assert open_study(other, storage).study_name == second.study_name
    assert open_study(bench_of(make_params(), "row"), storage).study_name == first.study_name


def test_a_dead_processs_trial_is_failed_once_and_its_values_wait(study: optuna.Study) -> None:
    number = running(study, a_dead_process())
    for _ in range(2):
        settle_stale_trials(study)
    trials = study.get_trials()
    assert trials[number].state == TrialState.FAIL
    waiting = [trial for trial in trials if trial.state == TrialState.WAITING]
    assert [trial.system_attrs["fixed_params"] for trial in waiting] == [{"dropout": 0.1}]


def test_values_that_kill_their_process_every_time_are_given_up(study: optuna.Study) -> None:
    running(study, a_dead_process())
    settle_stale_trials(study)
    tries = 1
    while any(trial.state == TrialState.WAITING for trial in study.get_trials(deepcopy=False)):
        trial = study.ask({"dropout": FloatDistribution(0, 0.6)})
        assert trial.params == {"dropout": 0.1}
        trial.set_user_attr(PROCESS, a_dead_process())
        settle_stale_trials(study)
        tries += 1
    assert tries == TRIES


@pytest.mark.parametrize("ours", [True, False])
def test_a_trial_that_may_live_is_left_alone(study: optuna.Study, ours: bool) -> None:
    process = this_process() if ours else f"elsewhere:{os.getpid()}"
    number = running(study, process)
    settle_stale_trials(study)
    assert study.get_trials()[number].state == TrialState.RUNNING
    settle_stale_trials(study, own=True)
    assert (study.get_trials()[number].state == TrialState.FAIL) == ours


def test_only_finished_trials_count_and_only_earlier_ones_have_a_claim(study: optuna.Study) -> None:
    for value in (0.7, 0.8):
        study.tell(study.ask(), value)
    pruned = study.ask()
    pruned.report(0.5, 0)
    study.tell(pruned, state=TrialState.PRUNED)
    study.tell(study.ask(), state=TrialState.FAIL)
    last = study.ask()
    assert Tally.of(study) == Tally(complete=2, pruned=1, failed=1, running=1, waiting=0)
    assert str(Tally.of(study)) == "trials: 2 complete, 1 pruned, 1 failed"
    assert claims_before(study, last.number) == 3


def test_a_storage_that_does_not_open_is_one_line_without_its_password() -> None:
    with pytest.raises(StudyError, match="does not open") as raised:
        open_storage("postgresql+psycopg://me:secret@127.0.0.1:1/studies")
    assert "secret" not in str(raised.value)
    assert shown_url("postgresql+psycopg://me:secret@127.0.0.1:1/studies").count("***") == 1
