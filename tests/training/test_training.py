"""Training: the best epoch on val is kept, the test side is never read, and the same params give the same model."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leukoscope.config.params import Augment, Split, Train
from leukoscope.config.rows import ModelSettings
from leukoscope.data.splits import make_splits
from leukoscope.training import fitting
from leukoscope.training.batches import AugmentedPictures, EpochBatches
from leukoscope.training.heads import compile_for_training
from leukoscope.training.probabilities import predict
from leukoscope.training.sampling import every_image_once
from leukoscope.training.task import TrainedFold, TrainingData
from leukoscope.training.training import GATHERED_AT_ONCE, Training, gathered
from tests.fixtures.drawn_cells import pictures

FROZEN = ModelSettings(backbone="mobilenetv2", weights="none", views=1, width=16)
SETTINGS = Train(epochs=6, patience=2, batch_size=20)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def split(images: pd.DataFrame) -> pd.DataFrame:
    splits = make_splits(images, Split(folds=3), ("subject",))
    return splits[splits["protocol"] == "subject"]


@pytest.fixture
def data(images: pd.DataFrame) -> TrainingData:
    """Features in which two of twelve numbers tell the classes apart, with noise; one view beside each image."""
    rng = np.random.default_rng(0)
    labels = images["label"].to_numpy(int)
    features = rng.normal(size=(len(images), 2, 12)).astype(np.float32)
    features[..., :2] += 1.5 * labels[:, None, None]
    known = (images[name].to_numpy() for name in ("image_id", "sha256"))
    return TrainingData(*known, labels, images["group"].to_numpy(), features, None)


def training(
    data: TrainingData, split: pd.DataFrame, row: ModelSettings = FROZEN, settings: Train = SETTINGS
) -> Training:
    return Training(row, settings, Augment(), data, split, Path("store"))


def trained(data: TrainingData, split: pd.DataFrame, row: ModelSettings = FROZEN) -> list[TrainedFold]:
    return list(training(data, split, row).folds())


def same(one: Iterable[TrainedFold], other: Iterable[TrainedFold]) -> bool:
    return all(
        np.array_equal(left, right)
        for first, second in zip(one, other, strict=True)
        for left, right in zip(first.model.get_weights(), second.model.get_weights(), strict=True)
    )


def test_the_same_params_give_the_same_weights_to_the_last_bit(data: TrainingData, split: pd.DataFrame) -> None:
    two = split[split["fold"] < 2]
    assert same(trained(data, two), trained(data, two))


def test_a_fold_trained_alone_is_the_same_fold(data: TrainingData, split: pd.DataFrame) -> None:
    assert same(trained(data, split[split["fold"] < 2])[1:], trained(data, split[split["fold"] == 1]))


def test_the_test_side_is_never_read(data: TrainingData, split: pd.DataFrame) -> None:
    first = split[split["fold"] == 0]
    features, labels = data.features.copy(), data.labels.copy()
    test = data.positions(first, "test")
    features[test], labels[test] = np.nan, -1
    blinded = replace(data, labels=labels, features=features)
    assert same(trained(data, first), trained(blinded, first))


def test_views_of_val_images_are_not_trained_on(data: TrainingData, split: pd.DataFrame) -> None:
    first = split[split["fold"] == 0]
    features = data.features.copy()
    features[data.positions(first, "val"), 1:] = np.nan
    blinded = replace(data, features=features)
    assert same(trained(data, first), trained(blinded, first))


def test_the_best_epoch_on_val_is_kept(data: TrainingData, split: pd.DataFrame) -> None:
    first = split[split["fold"] == 0]
    (fold,) = trained(data, first)
    val = data.positions(first, "val")
    targets = np.eye(2, dtype=np.float32)[data.labels[val]]
    compile_for_training(fold.model, FROZEN.learning_rate)
    loss = fold.model.evaluate(data.features[val, 0], targets, batch_size=20, verbose=0)[0]
    assert loss == pytest.approx(min(epoch["val_loss"] for epoch in fold.history), rel=1e-4)


def test_features_that_are_too_many_for_memory_train_as_well_and_repeat(
    data: TrainingData, split: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = split[split["fold"] == 0]
    (held,) = trained(data, first)
    monkeypatch.setattr(fitting, "HELD_BY_KERAS", 0)
    one, other = trained(data, first), trained(data, first)
    assert same(one, other)
    assert not same(one, [held])  # in another order
    losses, as_held = ([epoch["val_loss"] for epoch in fold.history] for fold in (one[0], held))
    assert losses[-1] < losses[0]
    assert min(losses) == pytest.approx(min(as_held), rel=0.05)


def test_training_stops_when_val_stops_improving(data: TrainingData, split: pd.DataFrame) -> None:
    noise = replace(data, features=np.random.default_rng(1).normal(size=data.features.shape))
    settings = Train(epochs=200, patience=2, batch_size=20)
    (fold,) = training(noise, split[split["fold"] == 0], settings=settings).folds()
    losses = [epoch["val_loss"] for epoch in fold.history]
    assert len(losses) < settings.epochs
    assert int(np.argmin(losses)) == len(losses) - 1 - settings.patience


def test_it_learns_and_all_is_1(data: TrainingData, split: pd.DataFrame) -> None:
    first = split[split["fold"] == 0]
    (fold,) = training(data, first, settings=Train(epochs=60, patience=60)).folds()
    test = data.positions(first, "test")
    p = predict(fold.model.predict_on_batch, FROZEN, data, test)
    assert p[data.labels[test] == 1].mean() > 0.55 > 0.5 > p[data.labels[test] == 0].mean()


def test_class_weights_and_sampling_change_what_is_learned(data: TrainingData, split: pd.DataFrame) -> None:
    first = split[split["fold"] == 0]
    plain = trained(data, first)
    for change in ({"class_weight": "balanced"}, {"sampling": "group"}):
        row = FROZEN.model_copy(update=change)
        assert not same(plain, trained(data, first, row))
        assert same(trained(data, first, row), trained(data, first, row))


def test_a_balanced_loss_raises_the_rarer_class(data: TrainingData, split: pd.DataFrame) -> None:
    first = split[split["fold"] == 0]
    noise = replace(data, features=np.random.default_rng(1).normal(size=data.features.shape))
    rows = FROZEN, FROZEN.model_copy(update={"class_weight": "balanced"})
    settings = Train(epochs=20, patience=20, batch_size=20)
    plain, balanced = (
        predict(
            next(training(noise, first, row, settings).folds()).model.predict_on_batch,
            row,
            noise,
            noise.positions(first, "train"),
        )
        for row in rows
    )
    assert (data.labels == 1).mean() == 0.6
    assert balanced.mean() < plain.mean() - 0.03


def test_each_epoch_is_told_as_it_ends(data: TrainingData, split: pd.DataFrame) -> None:
    told: list[dict[str, float]] = []
    folds = list(training(data, split).folds(told.append))
    assert told == [epoch for fold in folds for epoch in fold.history]
    assert set(told[0]) == {
        "fold",
        "epoch",
        "all_layers",
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "learning_rate",
    }


@pytest.mark.parametrize("augment", [Augment(), Augment(stain=0.1, grain=0.3, noise=2)])
def test_epochs_of_pictures_differ_and_repeat_with_the_seed(augment: Augment, images: pd.DataFrame) -> None:
    data = pictures(images)
    positions = np.arange(30)
    targets = np.eye(2, dtype=np.float32)[data.labels[:30]]

    def first_batches() -> list[np.ndarray]:
        read = AugmentedPictures(data.packed, data.sha256, augment)
        batches = EpochBatches(read, positions, targets, batch_size=8)
        first = batches[0][0]
        batches.start_epoch(1)
        return [first, batches[0][0]]

    one, other = first_batches(), first_batches()
    np.testing.assert_array_equal(one, other)
    assert (one[0] != one[1]).any()


def test_an_epoch_holds_every_picture_once_with_its_label(images: pd.DataFrame) -> None:
    data = pictures(images)
    positions = np.flatnonzero(np.arange(len(images)) % 3)
    targets = np.eye(2, dtype=np.float32)[data.labels[positions]]
    still = Augment(
        horizontal_flip=False, vertical_flip=False, rotation=0, width_shift=0, height_shift=0, shear=0, zoom=0,
        channel_shift=0,
    )  # fmt: skip
    read = AugmentedPictures(data.packed, data.sha256, still)
    order = partial(every_image_once, labels=data.labels[positions], groups=data.groups[positions])
    batches = EpochBatches(read, positions, targets, batch_size=40, seed=1, order=order)
    seen = [batches[index] for index in range(len(batches))]
    order = sorted(range(len(positions)), key=lambda index: data.packed[positions[index]].tobytes())
    both = [
        (picture.astype(np.uint8).tobytes(), int(target[1]))
        for xs, ys in seen
        for picture, target in zip(xs, ys, strict=True)
    ]
    assert sorted(both) == [(data.packed[positions[i]].tobytes(), data.labels[positions[i]]) for i in order]


def test_what_is_gathered_is_what_indexing_gives(tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(3 * GATHERED_AT_ONCE, 3, 2)).astype(np.float32)
    positions = np.flatnonzero(np.arange(len(features)) % 3)
    for views in (1, 3):
        np.testing.assert_array_equal(gathered(features, positions, views, tmp_path), features[positions, :views])
