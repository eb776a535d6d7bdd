"""A candidate as a registered version: one model from a raw picture to p(ALL), with all that its user must know."""

from __future__ import annotations

import importlib.metadata
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leukoscope.artifacts.decision import Decision
from leukoscope.artifacts.training_cells import TRAINING_FILE, TrainingCells
from leukoscope.core.checkout import folder_name
from leukoscope.core.errors import RegistryError
from leukoscope.core.paths import inside
from leukoscope.data.synthetic.cells import fixed_cells
from leukoscope.registry.card import CARD, card_facts, model_card
from leukoscope.registry.files import FILES, file_hashes, find_version
from leukoscope.registry.ranking import Candidate
from leukoscope.registry.runtime import SCORING_FILE, export_scoring
from leukoscope.registry.version_page import combination, description
from leukoscope.registry.versions import model_name
from leukoscope.tracking.pages import about_model
from leukoscope.tracking.runs import (
    COMMIT,
    DIGEST_LENGTH,
    about_tags,
    circumstances,
    git_commit,
    open_experiment,
    process_is_dead,
    run_of,
)
from leukoscope.tracking.store import default_store, unless_there
from leukoscope.training.saved_folds import load_folds

if TYPE_CHECKING:
    import keras
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.models import ModelSignature


EXAMPLE_SEED = 7
TENSORFLOW_BUILDS = ("tensorflow", "tensorflow-cpu")


def log_version(data_name: str, candidate: Candidate, training: TrainingCells | None = None) -> tuple[str, bool]:
    """The number of the candidate's version, and whether it is new: what was logged before is used again.

    A version is its decision.json: the same weights with another threshold make another version. One that was logged
    without its `training` cells, which are not known to it, is not used again where they are given.
    """
    client, experiment = open_experiment(data_name)
    known = find_version(client, data_name, candidate.decision.content_hash, [TRAINING_FILE] if training else [])
    if known:
        return known, False
    _close_models_of_dead_processes(client, experiment)
    logged, files = _log_model(client, experiment, candidate, _model(candidate), training)
    return _register(client, data_name, candidate, logged, files, training), True


def _model(candidate: Candidate) -> keras.Model:
    # TensorFlow takes seconds to import, and a version that is known already needs none of it.
    from leukoscope.training.assembly import joined_model

    rows = _rows(candidate)
    return joined_model(
        {decision.row: (decision.row_settings, list(load_folds(folder).values())) for folder, decision in rows.items()}
    )


def _rows(candidate: Candidate) -> dict[Path, Decision]:
    """The trained rows behind a candidate, by the folder of their folds' models: itself, or an ensemble's members.

    Raises RegistryError for a member that is not the model that was joined, or whose name leads elsewhere.
    """
    if candidate.decision.members is None:
        return {candidate.models: candidate.decision}
    rows = {}
    for row, member in candidate.decision.members.items():
        folder = inside(candidate.models.parent, folder_name(row, candidate.decision.protocol), RegistryError)
        decision = Decision.read(folder)
        if decision.identity != member.identity:
            raise RegistryError(
                f"{folder} was trained again after it joined {candidate.row}, which therefore cannot be registered: "
                f"run uv run dvc repro"
            )
        rows[folder] = decision
    return rows


def _close_models_of_dead_processes(client: MlflowClient, experiment: str) -> None:
    """Mark the models as failed that processes of this host were logging when they died."""
    for logged in client.search_logged_models([experiment], max_results=1000):
        if logged.status.value == "PENDING" and process_is_dead(logged.tags):
            client.finalize_logged_model(logged.model_id, "FAILED")


def _log_model(
    client: MlflowClient,
    experiment: str,
    candidate: Candidate,
    model: keras.Model,
    training: TrainingCells | None,
) -> tuple[LoggedModel, dict[str, str]]:
    """Log the model with the run that trained it, and its figures on the ranking side with the model.

    Returns it with the hashes of its files.
    """
    from mlflow.entities import LoggedModelOutput, Metric

    run = run_of(client, experiment, candidate.decision)
    tags = {**about_tags(candidate.decision), **circumstances(), "identity": candidate.decision.identity}
    name = f"{candidate.row}-{candidate.decision.protocol}"
    logged = client.create_logged_model(experiment, name=name, source_run_id=run.info.run_id, tags=tags)
    ready = False
    try:
        with tempfile.TemporaryDirectory() as folder:
            _save(Path(folder), candidate.decision, model, logged, run.info.run_id)
            _write_card(Path(folder), candidate)
            if training:
                training.write(Path(folder))
            files = file_hashes(Path(folder))
            client.log_model_artifacts(logged.model_id, folder)
        ready = True
    finally:
        client.finalize_logged_model(logged.model_id, "READY" if ready else "FAILED")
    client.log_outputs(run.info.run_id, [LoggedModelOutput(logged.model_id, step=0)])
    data = candidate.decision.data
    of_model = {
        "model_id": logged.model_id,
        "dataset_name": data.name,
        "dataset_digest": data.hash[:DIGEST_LENGTH],
    }
    now = logged.creation_timestamp
    auroc = candidate.measured.estimate("auroc")
    figures = {"auroc": auroc.value, "auroc_low": auroc.low, "auroc_high": auroc.high}
    figures |= {name: candidate.measured.at_threshold(name).value for name in ("sensitivity", "specificity")}
    metrics = [
        Metric(f"registered/{candidate.side}/{headline}", value, now, 0, **of_model)
        for headline, value in figures.items()
        if value is not None
    ]
    client.log_batch(run.info.run_id, metrics=metrics)
    return logged, files


def _save(folder: Path, decision: Decision, model: keras.Model, logged: LoggedModel, run_id: str) -> None:
    """Write the model in MLflow's keras flavour (a .keras file, no pickle), with decision.json and its IR beside it."""
    import mlflow.keras
    from mlflow.models import Model

    about = Model(
        artifact_path=logged.artifact_location, model_uuid=logged.model_id, model_id=logged.model_id, run_id=run_id
    )
    mlflow.keras.save_model(
        model,
        str(folder),
        mlflow_model=about,
        signature=_signature(),
        input_example=fixed_cells(1, EXAMPLE_SEED),
        pip_requirements=_requirements(),
        metadata={"identity": decision.identity, "threshold": decision.pooled.threshold},
    )
    decision.write(folder)
    (folder / SCORING_FILE).parent.mkdir()
    export_scoring(model, decision.frame, folder / SCORING_FILE)


def _write_card(folder: Path, candidate: Candidate) -> None:
    """Beside the model what is to be said of it, as a page and as the facts that the page is made of."""
    facts = card_facts(candidate, combination(candidate.decision), _requirements())
    facts.write(folder)
    (folder / CARD).write_text(model_card(facts), encoding="utf-8")


def _signature() -> ModelSignature:
    """Raw pictures, uint8 [n, height, width, 3] of any size, to p(ALL), float32 [n, 1]."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    pictures = TensorSpec(np.dtype(np.uint8), (-1, -1, -1, 3))
    return ModelSignature(Schema([pictures]), Schema([TensorSpec(np.dtype(np.float32), (-1, 1))]))


def _requirements() -> list[str]:
    """What the model needs where it is served: this package is not among it."""
    build = next(name for name in TENSORFLOW_BUILDS if _installed(name))
    return [
        f"keras=={importlib.metadata.version('keras')}",
        f"numpy=={importlib.metadata.version('numpy')}",
        f"tensorflow=={importlib.metadata.version(build)}",
    ]


def _installed(package: str) -> bool:
    return any(True for _ in importlib.metadata.distributions(name=package))


def _register(
    client: MlflowClient,
    data_name: str,
    candidate: Candidate,
    logged: LoggedModel,
    files: dict[str, str],
    training: TrainingCells | None,
) -> str:
    name = model_name(data_name)
    if not client.search_registered_models(f"name = '{name}'"):
        with unless_there():
            client.create_registered_model(name, description=about_model(data_name))
    with default_store():  # where MLflow looks up the logged model, whichever client asks
        version = client.create_model_version(
            name,
            f"models:/{logged.model_id}",
            logged.source_run_id,
            {**version_tags(candidate), FILES: json.dumps(files)},
            description=description(candidate, training),
            model_id=logged.model_id,
        ).version
    listed = json.dumps([{"name": name, "version": version}])
    client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": listed})
    return str(version)


def version_tags(candidate: Candidate) -> dict[str, str]:
    """What a version must say of itself where its files are not at hand, and what the next candidate is compared by."""
    decision, point = candidate.decision, candidate.decision.pooled
    known = {
        "identity": decision.identity,
        "decision": decision.content_hash,
        "combination": combination(decision),
        "side": candidate.side,
        "auroc": candidate.auroc,
        "sensitivity": candidate.sensitivity,
        "threshold": point.threshold,
        "refer_low": point.refer_low,
        "refer_high": point.refer_high,
        COMMIT: git_commit(),
    }
    return {**about_tags(decision), **{name: str(value) for name, value in known.items() if value is not None}}
