"""`leukoscope tune` as a user meets it: what a study comes to, and how it takes interrupts, kills and changed data."""

import json
import shutil
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from optuna.trial import TrialState

from leukoscope.core.processes import is_alive
from leukoscope.data.pack import pack_name
from leukoscope.tuning.study import PAPER
from leukoscope.tuning.trials import SCORES, Tally
from tests.fixtures.checkout import Checkout
from tests.fixtures.tune_commands import (
    OTHER,
    ROW,
    assert_nothing_was_lost,
    busy,
    checkout_with_data,
    copy_of,
    finished,
    kill,
    process_of,
    runs,
    started,
    studies,
    trials,
    until,
)

pytestmark = pytest.mark.slow

TRIALS = "6"
# In two epochs the paper's rate does not get far, so there is something to find above it, and to prune below it.
SPACE = {"learning_rate": {"low": 1e-4, "high": 0.1, "log": True}, "dropout": {"low": 0.0, "high": 0.6}}
TUNE = {"folds": 3, "repeats": 2, "space": SPACE}
BRIEF = {**TUNE, "folds": 2, "repeats": 1}
BAD_START = {"backbone": "mobilenetv2", "learning_rate": 1e-4, "dropout": 0.6}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Data, and both rows trained. Tests change copies of it."""
    folder = tmp_path_factory.mktemp("some where") / "the checkout"
    return checkout_with_data(folder, f"train@{ROW}-subject", f"train@{OTHER}-subject", tune=TUNE)


@pytest.fixture(scope="module")
def tuned(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A study of a row whose own values are bad, run by one worker."""
    models = {**checkout.params()["models"], ROW: BAD_START}
    made = copy_of(checkout, tmp_path_factory.mktemp("tuned") / "checkout", models=models)
    made.leukoscope("tune", ROW, "--trials", TRIALS, "--workers", "1")
    return made


def told(checkout: Checkout) -> list[tuple[Any, ...]]:
    return [(trial.number, trial.state, trial.params, trial.value) for trial in trials(checkout)]


def test_a_study_has_its_number_of_trials_with_a_run_of_each_and_a_second_time_adds_none(tuned: Checkout) -> None:
    before = told(tuned)
    said = tuned.leukoscope("tune", ROW, "--trials", TRIALS, "--workers", "1").stdout
    assert told(tuned) == before
    tally = Tally.of(*studies(tuned).values())
    assert said.splitlines()[-1] == f"trials: {tally.complete} complete, {tally.pruned} pruned, 0 failed"
    assert_nothing_was_lost(tuned, int(TRIALS))
    (study,) = studies(tuned).values()
    assert study.metric_names == ["mean AUROC over inner folds"]  # on the dashboard's axes
    drawn = {file.name for file in (tuned.folder / "reports" / "tuning" / ROW / "figures").iterdir()}
    assert drawn == {"history.png", "importance.png", "slice.png", "parallel_coordinate.png"}

    (parent,), children = runs(tuned)
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tuned.folder / 'mlruns' / 'mlflow.db'}")
    assert {Path(file.path).name for file in client.list_artifacts(parent.info.run_id, "figures")} == drawn
    of_number = {int(run.data.tags["trial"]): run for run in children}
    for trial in trials(tuned):
        run = of_number[trial.number]
        assert run.data.params == {name: str(value) for name, value in trial.params.items()}
        assert run.data.tags["state"] == trial.state.name.lower()
        history = client.get_metric_history(run.info.run_id, "fold_auroc")
        assert [point.value for point in sorted(history, key=lambda p: p.step)] == trial.user_attrs[SCORES]


def test_a_study_from_a_bad_start_tries_the_papers_values_first_and_finds_others_as_good(tuned: Checkout) -> None:
    paper, own, *others = trials(tuned)
    assert paper.params == {"learning_rate": 0.003, "dropout": 0.2}
    assert own.params == {name: BAD_START[name] for name in SPACE}
    assert np.mean(own.user_attrs[SCORES]) < paper.value
    assert max(trial.value for trial in others if trial.state.name == "COMPLETE") >= paper.value


def test_the_same_seed_gives_the_same_trials_also_where_the_test_side_is_not_there(
    tuned: Checkout, tmp_path: Path
) -> None:
    again = copy_of(tuned, tmp_path / "again")
    shutil.rmtree(again.folder / ".leukoscope")
    remove_test_side(again, fold=0)
    again.leukoscope("tune", ROW, "--trials", TRIALS, "--workers", "1")
    assert list(studies(again)) == list(studies(tuned))
    assert told(again) == told(tuned)


def remove_test_side(checkout: Checkout, fold: int) -> None:
    """Take the images of a fold's test side out of everything that a study could read them from."""
    data = checkout.folder / "data"
    test = side_of(checkout, "test").query("fold == @fold")["image_id"]
    keep_images(checkout, lambda image_id: image_id not in set(test))
    shutil.rmtree(data / "features")
    shutil.rmtree(data / "raw")


def side_of(checkout: Checkout, side: str) -> pd.DataFrame:
    """That side's rows of all folds of the studies' protocol."""
    split = pd.read_parquet(checkout.folder / "data" / "splits.parquet")
    return split.query("protocol == 'subject' and side == @side")


def keep_images(checkout: Checkout, keep: Callable[[str], bool]) -> None:
    """Take all other images out of the tables and the packed array, whose order is that of images.parquet."""
    data = checkout.folder / "data"
    images, split = (pd.read_parquet(data / name) for name in ("images.parquet", "splits.parquet"))
    kept = images["image_id"].map(keep).to_numpy(bool)
    assert 0 < kept.sum() < len(images)
    packed = data / "packed" / pack_name(300, 64)
    pictures = np.load(packed)[kept]
    for file in (packed, data / "images.parquet", data / "splits.parquet"):
        file.unlink()  # a link into DVC's cache, maybe
    np.save(packed, pictures)
    images[kept].to_parquet(data / "images.parquet")
    split[split["image_id"].map(keep).astype(bool)].to_parquet(data / "splits.parquet")


def test_six_scores_prune_and_three_never_do(tuned: Checkout, tmp_path: Path) -> None:
    pruned = [trial for trial in trials(tuned) if trial.state.name == "PRUNED"]
    assert pruned
    assert all(4 <= len(trial.user_attrs[SCORES]) <= 6 for trial in pruned)
    three = copy_of(tuned, tmp_path / "three", tune={**TUNE, "repeats": 1})
    three.leukoscope("tune", ROW, "--trials", TRIALS)
    assert {trial.state.name for trial in trials(three)} == {"COMPLETE"}
    assert {len(trial.user_attrs[SCORES]) for trial in trials(three)} == {3}


def test_a_study_is_not_gone_on_with_on_other_data_split_or_space(tuned: Checkout, tmp_path: Path) -> None:
    changed = copy_of(tuned, tmp_path / "changed")
    shutil.copy(tuned.folder / "mlruns" / "studies.journal", changed.folder / "mlruns")
    wider = {**SPACE, "dropout": {"low": 0.0, "high": 0.7}}
    refused(changed, TUNE | {"space": wider}, "space")
    refused(changed, TUNE | {"folds": 2}, "split")
    train = side_of(changed, "train").query("fold == 0")["image_id"]
    keep_images(changed, lambda image_id: image_id != train.iloc[0])
    refused(changed, TUNE, "data and split")

    changed.leukoscope("tune", ROW, "--trials", "1", "--workers", "1", "--another")
    assert [len(study.trials) for study in studies(changed).values()] == [len(trials(tuned)), 2]  # one of them waits


def refused(checkout: Checkout, tune: dict[str, Any], what: str) -> None:
    checkout.set_params(checkout.params() | {"tune": tune})
    ran = checkout.leukoscope("tune", ROW, "--trials", TRIALS, check=False)
    assert ran.returncode == 2
    (line,) = ran.stderr.splitlines()
    assert f"was begun on other {what} than" in line


def test_an_applied_winner_is_what_the_next_repro_trains_that_row_with(
    checkout: Checkout, tuned: Checkout, tmp_path: Path
) -> None:
    applied = copy_of(checkout, tmp_path / "applied")
    shutil.copy(tuned.folder / "mlruns" / "studies.journal", applied.folder / "mlruns")
    params = applied.folder / "params.yaml"
    params.write_text(params.read_text().replace(f"  {ROW}:\n", f"  {ROW}:  # a comment\n", 1))
    assert stale_trainings(applied) == set()
    (name,) = studies(tuned)
    # The command's rule stands in the way of a gain that so few cells cannot show, so the rest is done without it.
    code = f"""
from dataclasses import replace
from leukoscope.config.params import load_params
from leukoscope.tuning.applying import apply_winner
from leukoscope.tuning.bench import Bench
from leukoscope.tuning.gain import gain_of
from leukoscope.tuning.storage import storage_url
from leukoscope.tuning.study import load_study
params = load_params()
bench = Bench.of(params, {ROW!r}, params.tune.fold)
gain = gain_of(load_study(storage_url(None), {name!r}, bench), params.tune.folds)
apply_winner(bench, {name!r}, replace(gain, standard_error=0.0))
"""
    applied.run("python", "-c", code)
    best = studies(tuned)[name].best_params
    row = applied.params()["models"][ROW]
    assert {setting: row[setting] for setting in SPACE} == pytest.approx(best, rel=1e-3)
    assert row["tuned"]["study"] == name
    assert f"  {ROW}:  # a comment\n" in params.read_text()
    assert stale_trainings(applied) == {f"train@{ROW}-subject"}


def stale_trainings(checkout: Checkout) -> set[str]:
    return {stage for stage in checkout.stale() if stage.startswith("train@")}


def test_without_a_convincing_gain_every_row_keeps_the_papers_values(checkout: Checkout, tmp_path: Path) -> None:
    kept = copy_of(checkout, tmp_path / "kept", tune=BRIEF)
    before = (kept.folder / "params.yaml").read_bytes()
    said = kept.leukoscope("tune", "--all", "--trials", "1", "--apply").stdout
    assert said.count("the paper's values are kept") == 2
    assert said.splitlines()[-1] == "trials: 1 complete, 0 pruned, 0 failed"
    assert (kept.folder / "params.yaml").read_bytes() == before
    assert [study.trials[0].params == study.user_attrs[PAPER] for study in studies(kept).values()] == [True, True]


def test_a_study_goes_on_after_an_interrupt_and_after_kills(checkout: Checkout, tmp_path: Path) -> None:
    broken = copy_of(checkout, tmp_path / "broken")
    command = ("tune", ROW, "--trials", TRIALS, "--workers")

    with started(broken, *command, "1") as process:
        until(lambda: [trial for trial in busy(broken) if trial.number > 0], "a second trial", process)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    (interrupted,) = trials(broken, "FAIL")
    assert not trials(broken, "RUNNING")
    waiting = [trial.system_attrs["fixed_params"] for trial in trials(broken, "WAITING")]
    assert interrupted.params in waiting
    runs(broken)

    with started(broken, *command, "2") as process:
        until(lambda: len(busy(broken)) == 2, "two workers with a trial each", process)
        other, victim = busy(broken)
        kill(process_of(victim))
        until(lambda: trials(broken)[victim.number].state.name == "FAIL", "the dead worker's trial failed", process)
        kill(process.pid)
    left = {process_of(other)}
    until_gone(left)

    broken.leukoscope(*command, "1")
    assert_nothing_was_lost(broken, int(TRIALS))
    tried = [trial.params for trial in finished(broken)]
    for failed in trials(broken, "FAIL"):  # one that was ended between two suggestions has the first alone
        assert any(failed.params.items() <= params.items() for params in tried)


def until_gone(processes: set[int]) -> None:
    end = time.monotonic() + 60
    while any(is_alive(process) for process in processes):
        assert time.monotonic() < end, f"{processes} work on though nobody waits for them"
        time.sleep(0.1)


def test_where_all_layers_train_hyperband_ends_a_poor_trial_between_epochs(checkout: Checkout, tmp_path: Path) -> None:
    models = {ROW: {"backbone": "mobilenetv2", "mode": "finetune", "size": 32}}
    train = {"epochs": 2, "head_epochs": 1}
    finetuned = copy_of(checkout, tmp_path / "finetuned", models=models, train=train, tune=BRIEF)
    finetuned.run("dvc", "repro", "pack")
    finetuned.leukoscope("tune", ROW, "--trials", "4", "--workers", "1")
    (name,) = studies(finetuned)
    assert "-finetune-" in name
    assert_nothing_was_lost(finetuned, 4)
    epochs = [1, 2, 3, 4, 5, 6]  # two folds of one epoch of the head and two of all layers
    paper, *others = trials(finetuned)
    assert sorted(paper.intermediate_values) == epochs
    pruned = [trial for trial in others if trial.state == TrialState.PRUNED]
    assert pruned
    for trial in pruned:
        reported = sorted(trial.intermediate_values)
        assert reported == epochs[: len(reported)]
        assert len(reported) < len(epochs)


def test_a_kernel_head_is_searched_from_its_own_values(checkout: Checkout, tmp_path: Path) -> None:
    models = {**checkout.params()["models"], ROW: {"backbone": "mobilenetv2", "head": "kernel", "svm_c": 1}}
    ranges = {"svm_c": {"low": 0.1, "high": 100, "log": True}, "svm_gamma": {"low": 0.1, "high": 3, "log": True}}
    tune = {**BRIEF, "space": {**SPACE, **ranges}}
    searched = copy_of(checkout, tmp_path / "kernel", models=models, tune=tune)
    searched.leukoscope("tune", ROW, "--trials", "4", "--workers", "1")
    own, *others = trials(searched)
    assert own.params == {"svm_c": 1, "svm_gamma": 0.5}
    assert own.value > 0.6
    assert [trial.state.name for trial in others] == ["COMPLETE"] * 3
    assert all(set(trial.params) == set(ranges) for trial in others)


def test_nested_studies_say_what_tuning_gains_on_unseen_groups(checkout: Checkout, tmp_path: Path) -> None:
    nested = copy_of(checkout, tmp_path / "nested", tune=BRIEF)
    said = nested.leukoscope("tune", ROW, "--trials", "4", "--nested").stdout
    report = json.loads((nested.folder / "reports" / "tuning" / ROW / "nested.json").read_text())
    assert report["n"] == len(side_of(nested, "test"))
    assert {fold["study"] for fold in report["folds"].values()} == set(studies(nested))
    assert len(report["folds"]) == 3
    assert any(fold["winner"] != report["paper"] for fold in report["folds"].values())
    for which in ("winner", "rule"):
        gap = report[which]
        assert gap["gap_low"] <= gap["gap"] <= gap["gap_high"]
        assert gap["gap"] == pytest.approx(gap["auroc_a"] - gap["auroc_b"])
        assert f"gain {gap['gap']:+.4f}" in said


def test_the_dashboard_serves_the_studies(tuned: Checkout) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with started(tuned, "dashboard", "--port", str(port)) as process:
        listed = until(lambda: answer(f"http://127.0.0.1:{port}/api/studies"), "an answer", process)
    assert [study["study_name"] for study in listed["study_summaries"]] == list(studies(tuned))


def answer(url: str) -> Any:
    try:
        with urllib.request.urlopen(url) as page:
            return json.load(page)
    except urllib.error.URLError:
        return None
