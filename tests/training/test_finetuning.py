"""Finetuning: the head first, then all layers; after a kill it goes on as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from leukoscope.features.backbones import batchnorms, build_backbone
from leukoscope.tracking import runs as tracking
from leukoscope.tracking import store as mlflow_store
from leukoscope.training import finetuning
from leukoscope.training.fitting import targets
from leukoscope.training.probabilities import predict
from leukoscope.training.task import TrainedFold
from leukoscope.training.training import Training
from tests.fixtures.finetune_once import SETTINGS, small_training
from tests.fixtures.stores import checkout_with_store

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


def short(store: Path, **changes: float) -> Training:
    """One fold and few epochs."""
    training = small_training(store)
    settings = SETTINGS.model_copy(update={"epochs": 2, **changes})
    return replace(training, settings=settings, split=training.split[training.split["fold"] == 0])


def val_loss_of(fold: TrainedFold, training: Training) -> float:
    """The fold's loss on val, measured anew."""
    data = training.data
    val = data.positions(training.split, "val")
    fold.model.compile(loss=keras.losses.BinaryCrossentropy())
    pictures = data.pictures()[val].astype(np.float32)
    return float(
        fold.model.evaluate(pictures, targets(data.labels[val]), batch_size=20, verbose=0, return_dict=True)["loss"]
    )


@pytest.mark.slow
def test_finetuning_lowers_the_loss_moves_the_backbone_and_keeps_batch_norm(store: Path) -> None:
    training = short(store, epochs=4, head_epochs=2, patience=4)
    training = replace(training, row=training.row.model_copy(update={"learning_rate": 0.0001}))
    (fold,) = training.folds()
    start = build_backbone("mobilenetv2", "none", 300, 32)
    assert len(fold.history) == 6
    for before, after in zip(batchnorms(start), batchnorms(fold.model)[:-1], strict=True):
        for one, other in zip(before.get_weights(), after.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    kernels = [
        [layer.get_weights()[0] for layer in model._flatten_layers() if isinstance(layer, keras.layers.Conv2D)]
        for model in (start, fold.model)
    ]
    assert all((one != other).any() for one, other in zip(*kernels, strict=True))
    losses = [epoch["loss"] for epoch in fold.history]
    assert losses[-1] < losses[2] < losses[0]
    assert val_loss_of(fold, training) == pytest.approx(min(epoch["val_loss"] for epoch in fold.history), rel=1e-3)
    p = predict(
        fold.model.predict_on_batch, training.row, training.data, training.data.positions(training.split, "test")
    )
    assert np.isfinite(p).all()
    assert p.std() > 0


@pytest.mark.slow
def test_where_all_layers_do_worse_on_val_the_fitted_head_is_kept(store: Path) -> None:
    training = short(store, epochs=1)
    training = replace(training, row=training.row.model_copy(update={"learning_rate": 0.05}))
    (fold,) = training.folds()
    head, everything = (epoch["val_loss"] for epoch in fold.history)
    assert head < everything
    assert val_loss_of(fold, training) == pytest.approx(head, rel=1e-3)


@pytest.mark.slow
def test_in_mixed_precision_a_model_learns_and_is_saved_in_float32(
    store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(finetuning, "on_a_gpu", lambda: True)
    training = short(store, epochs=1, freeze_batchnorm=False)
    (fold,) = training.folds()
    assert np.isfinite([epoch["val_loss"] for epoch in fold.history]).all()
    assert {layer.dtype_policy.name for layer in fold.model._flatten_layers()} == {"float32"}
    start = build_backbone("mobilenetv2", "none", 300, 32)
    means = [norm.moving_mean for norm in batchnorms(start)], [norm.moving_mean for norm in batchnorms(fold.model)]
    assert all((np.asarray(one) != np.asarray(other)).any() for one, other in zip(*means, strict=False))
    everyone = np.arange(20)
    fold.model.save(tmp_path / "fold.keras")
    saved = keras.saving.load_model(tmp_path / "fold.keras", safe_mode=True)
    np.testing.assert_array_equal(
        predict(saved.predict_on_batch, training.row, training.data, everyone),
        predict(fold.model.predict_on_batch, training.row, training.data, everyone),
    )


def process(checkout: Path, store: str, result: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.fixtures.finetune_once", store, result]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    return subprocess.Popen(command, cwd=checkout, env=environment, text=True, stdout=subprocess.PIPE)


@pytest.mark.slow
def test_a_killed_finetuning_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = checkout_with_store(tmp_path, monkeypatch)
    killed = process(checkout, "store", "never.npz")
    assert killed.stdout is not None
    said = iter(killed.stdout.readline, "")
    assert "trained 0\n" in said
    assert "reads 2\n" in said  # the third epoch of all layers, in the second fold
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    (kept,) = (checkout / "store" / "training").iterdir()
    assert {file.name for file in kept.glob("*.npz")} == {"fold_0.npz", "fold_1.npz"}

    resumed, _ = (again := process(checkout, "store", "resumed.npz")).communicate()
    assert again.returncode == 0
    # Keras reads two batches of epoch 0 to learn their shapes; of the finished epochs nothing is trained again.
    assert "reads 1\n" not in resumed
    assert "reads 2\n" in resumed
    assert not kept.exists()

    undisturbed = process(checkout, "another store", "undisturbed.npz")
    undisturbed.communicate()
    one, other = (np.load(checkout / f"{name}.npz") for name in ("resumed", "undisturbed"))
    assert one.files == other.files
    for name in one.files:
        np.testing.assert_array_equal(one[name], other[name])

    client = mlflow_store.open_store()
    runs = client.search_runs([mlflow_store.experiment_of(client, "cells")], order_by=["attributes.start_time"])
    parents = [run for run in runs if tracking.PARENT not in run.data.tags]
    assert [run.info.status for run in parents] == ["KILLED", "FINISHED", "FINISHED"]
    last = next(
        run
        for run in runs
        if run.data.tags.get(tracking.PARENT) == parents[1].info.run_id and run.data.tags["fold"] == "1"
    )
    logged = client.get_metric_history(last.info.run_id, "val_loss")
    history = json.loads(str(one["1 history"]))
    assert [(point.step, point.value) for point in logged] == [(e["epoch"], e["val_loss"]) for e in history]
