"""Studies in MLflow: a run for each study and a child run for each of its trials.

A trial's run is made when the trial is over and ended at once, so a kill leaves none open but the one being made, which
the next mirroring closes and makes anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leukoscope.tracking.runs import PARENT, circumstances, close_runs_of_dead_processes
from leukoscope.tracking.store import experiment_of, locked, open_store
from leukoscope.tuning.study import ABOUT, PAPER
from leukoscope.tuning.trials import PROCESS, SCORES, SURPLUS, Tally, this_process

if TYPE_CHECKING:
    import optuna
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from optuna.trial import FrozenTrial


# What MLflow calls the end of a trial; the tag `state` has Optuna's own word.
STATUS = {"COMPLETE": "FINISHED", "PRUNED": "FINISHED", "FAIL": "FAILED"}


def mirror(study: optuna.Study, figures: Path | None = None) -> None:
    """Bring MLflow up to date with the trials that this machine ran, and with the study's state and `figures`.

    Doing it again adds nothing. Other machines mirror their own trials.
    """
    client = open_store()
    about = study.user_attrs[ABOUT]
    experiment = experiment_of(client, about["data"])
    with locked("tuning"):
        close_runs_of_dead_processes(client, experiment)
        parent = _parent(client, experiment, study)
        there = _children(client, experiment, parent)
        for trial in study.get_trials(deepcopy=False):
            if trial.state.name in STATUS and str(trial.number) not in there and _is_ours(trial):
                _log_trial(client, experiment, parent, about, trial)
        _log_state(client, parent, study)
    for figure in sorted(figures.glob("*.png")) if figures else ():
        client.log_artifact(parent, str(figure), "figures")


def _is_ours(trial: FrozenTrial) -> bool:
    host = this_process().rpartition(":")[0]
    return SURPLUS not in trial.user_attrs and trial.user_attrs.get(PROCESS, "").rpartition(":")[0] == host


def _parent(client: MlflowClient, experiment: str, study: optuna.Study) -> str:
    wanted = f"tags.study = '{study.study_name}' and tags.kind = 'study'"

    def first() -> list[Run]:
        """Where two machines made one at once, the same one for both."""
        oldest = ["attributes.start_time ASC", "attributes.run_id ASC"]
        return list(client.search_runs([experiment], wanted, max_results=1, order_by=oldest))

    found = first()
    if not found:
        tags = {**study.user_attrs[ABOUT], **circumstances(), "study": study.study_name, "kind": "study"}
        run = client.create_run(experiment, tags=tags, run_name=f"tune {study.study_name}")
        _log_params(client, run.info.run_id, study.user_attrs[PAPER], "paper.")
        client.set_terminated(run.info.run_id, "FINISHED")
        found = first()
    return str(found[0].info.run_id)


def _children(client: MlflowClient, experiment: str, parent: str) -> set[str]:
    """The numbers of the trials that have a run; one that was broken off in the making has none."""
    numbers: set[str] = set()
    token = None
    while token != "":
        page = client.search_runs([experiment], f"tags.`{PARENT}` = '{parent}'", page_token=token)
        numbers |= {run.data.tags["trial"] for run in page if run.info.status in STATUS.values()}
        token = page.token or ""
    return numbers


def _log_trial(
    client: MlflowClient, experiment: str, parent: str, about: Mapping[str, str], trial: FrozenTrial
) -> None:
    from mlflow.entities import Metric

    tags = {**about, **circumstances(), PARENT: parent, "trial": str(trial.number), "state": trial.state.name.lower()}
    start, end = _milliseconds(trial.datetime_start), _milliseconds(trial.datetime_complete)
    run = client.create_run(experiment, start_time=start, tags=tags, run_name=f"trial {trial.number}").info.run_id
    _log_params(client, run, trial.params)
    scores = list(enumerate(trial.user_attrs.get(SCORES, [])))
    values = [("fold_auroc", score, fold) for fold, score in scores]
    if trial.state.name == "COMPLETE":
        values.append(("auroc", float(trial.value or 0), 0))
    client.log_batch(run, metrics=[Metric(name, value, end, step) for name, value, step in values])
    client.set_terminated(run, STATUS[trial.state.name], end)


def _log_params(client: MlflowClient, run: str, values: Mapping[str, Any], prefix: str = "") -> None:
    from mlflow.entities import Param

    client.log_batch(run, params=[Param(prefix + name, str(value)) for name, value in values.items()])


def _log_state(client: MlflowClient, parent: str, study: optuna.Study) -> None:
    tally = Tally.of(study)
    client.set_tag(parent, "trials", str(tally))
    if tally.complete:
        best = study.best_trial
        client.log_metric(parent, "auroc", float(best.value or 0), step=tally.finished)
        client.set_tag(parent, "best", f"trial {best.number}: {best.params}")


def _milliseconds(moment: datetime | None) -> int:
    return int((moment or datetime.now()).timestamp() * 1000)
