"""Training: the best epoch on val is kept, the test side is never read, and the same params give the same model."""

from collections.abc import Iterable

import keras
import numpy as np
import pandas as pd
import pytest

from leukoscope.config import Augment, ModelSettings, Split, Train
from leukoscope.data.splits import make_splits
from leukoscope.models.pictures import AugmentedPictures
from leukoscope.models.training import TrainedFold, TrainingData, predict, train_folds

FROZEN = ModelSettings(backbone="mobilenetv2", weights="none", views=1, width=16)
SETTINGS = Train(epochs=6, patience=2, batch_size=20)


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
    return TrainingData(images["image_id"].to_numpy(), images["sha256"].to_numpy(), labels, features, None)


def trained(data: TrainingData, split: pd.DataFrame, row: ModelSettings = FROZEN) -> list[TrainedFold]:
    return list(train_folds(row, SETTINGS, Augment(), data, split))


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
    blinded = TrainingData(data.image_ids, data.sha256, labels, features, None)
    assert same(trained(data, first), trained(blinded, first))


def test_views_of_val_images_are_not_trained_on(data: TrainingData, split: pd.DataFrame) -> None:
    first = split[split["fold"] == 0]
    features = data.features.copy()
    features[data.positions(first, "val"), 1:] = np.nan
    blinded = TrainingData(data.image_ids, data.sha256, data.labels, features, None)
    assert same(trained(data, first), trained(blinded, first))


def test_the_best_epoch_on_val_is_kept(data: TrainingData, split: pd.DataFrame) -> None:
    first = split[split["fold"] == 0]
    (fold,) = trained(data, first)
    val = data.positions(first, "val")
    targets = np.eye(2, dtype=np.float32)[data.labels[val]]
    loss = fold.model.evaluate(data.features[val, 0], targets, batch_size=20, verbose=0)[0]
    assert loss == pytest.approx(min(epoch["val_loss"] for epoch in fold.history), rel=1e-4)


def test_training_stops_when_val_stops_improving(data: TrainingData, split: pd.DataFrame) -> None:
    noise = TrainingData(
        data.image_ids, data.sha256, data.labels, np.random.default_rng(1).normal(size=data.features.shape), None
    )
    settings = Train(epochs=200, patience=2, batch_size=20)
    (fold,) = train_folds(FROZEN, settings, Augment(), noise, split[split["fold"] == 0])
    losses = [epoch["val_loss"] for epoch in fold.history]
    assert len(losses) < settings.epochs
    assert int(np.argmin(losses)) == len(losses) - 1 - settings.patience


def test_it_learns_and_all_is_1(data: TrainingData, split: pd.DataFrame) -> None:
    first = split[split["fold"] == 0]
    (fold,) = train_folds(FROZEN, Train(epochs=60, patience=60), Augment(), data, first)
    test = data.positions(first, "test")
    p = predict(fold.model.predict_on_batch, FROZEN, data, test)
    assert p[data.labels[test] == 1].mean() > 0.55 > 0.5 > p[data.labels[test] == 0].mean()


def test_each_epoch_is_told_as_it_ends(data: TrainingData, split: pd.DataFrame) -> None:
    told: list[dict[str, float]] = []
    folds = list(train_folds(FROZEN, SETTINGS, Augment(), data, split, told.append))
    assert told == [epoch for fold in folds for epoch in fold.history]
    assert set(told[0]) == {"fold", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"}


def pictures(images: pd.DataFrame, size: int = 32) -> TrainingData:
    """Pictures whose cells are larger and brighter in class 1."""
    y, x = np.mgrid[:size, :size]
    labels = images["label"].to_numpy(int)
    rng = np.random.default_rng(1)
    radius = 7 + 4 * labels + rng.normal(size=len(labels))
    inside = (x - size / 2) ** 2 + (y - size / 2) ** 2 < radius[:, None, None] ** 2
    packed = (inside[..., None] * (90 + 60 * labels)[:, None, None, None] * np.array([0.9, 0.4, 1.0])).astype(np.uint8)
    return TrainingData(images["image_id"].to_numpy(), images["sha256"].to_numpy(), labels, None, packed)


def test_epochs_of_pictures_differ_and_repeat_with_the_seed(images: pd.DataFrame) -> None:
    data = pictures(images)
    positions = np.arange(30)
    targets = np.eye(2, dtype=np.float32)[data.labels[:30]]

    def first_batches() -> list[np.ndarray]:
        batches = AugmentedPictures(data.packed, positions, targets, data.sha256, Augment(), batch_size=8, seed=1)
        first = batches[0][0]
        batches.on_epoch_end()
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
    batches = AugmentedPictures(data.packed, positions, targets, data.sha256, still, batch_size=40, seed=1)
    seen = [batches[index] for index in range(len(batches))]
    order = sorted(range(len(positions)), key=lambda index: data.packed[positions[index]].tobytes())
    both = [
        (picture.astype(np.uint8).tobytes(), int(target[1]))
        for xs, ys in seen
        for picture, target in zip(xs, ys, strict=True)
    ]
    assert sorted(both) == [(data.packed[positions[i]].tobytes(), data.labels[positions[i]]) for i in order]


@pytest.mark.slow
def test_finetuning_lowers_the_loss_moves_the_backbone_and_keeps_batch_norm(
    images: pd.DataFrame, split: pd.DataFrame
) -> None:
    row = FROZEN.model_copy(update={"mode": "finetune", "frame": 300, "size": 32, "learning_rate": 0.001})
    data, first = pictures(images), split[split["fold"] == 0]
    settings = Train(epochs=4, head_epochs=2, patience=4, batch_size=20)
    from leukoscope.models.backbones import batchnorms, build_backbone

    (fold,) = train_folds(row, settings, Augment(), data, first)
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
    assert losses[-1] < losses[settings.head_epochs] < losses[0]
    p = predict(fold.model.predict_on_batch, row, data, data.positions(first, "test"))
    assert np.isfinite(p).all()
    assert p.std() > 0
