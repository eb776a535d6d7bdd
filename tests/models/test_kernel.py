"""The kernel head: scikit-learn's machine as stock layers, on training's side of the split, searched by a study."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from leukoscope.config import Augment, ModelSettings, Split, Train
from leukoscope.data.splits import make_splits
from leukoscope.models.assembly import raw_model
from leukoscope.models.engine import compiled, export
from leukoscope.models.fitting import HISTORY_COLUMNS, History, Vectors
from leukoscope.models.heads import probability
from leukoscope.models.kernel import fit_kernel_head
from leukoscope.models.sampling import group_weights
from leukoscope.models.training import TrainedFold, Training, TrainingData

ROW = ModelSettings(backbone="mobilenetv2", weights="none", head="kernel", svm_c=3, svm_gamma=0.7)


def side(images: int, seed: int, views: int = 1, columns: int = 20) -> Vectors:
    """Two classes that no line parts: how far from the origin their first columns lie. One column is constant."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, images)
    features = rng.normal(size=(images, views, columns)).astype(np.float32)
    features[..., :8] *= 1 + 2 * labels[:, None, None]
    features = 3 * features + np.arange(columns, dtype=np.float32)
    features[..., -1] = 0.1
    return Vectors(features, labels, rng.integers(0, 9, images).astype(str))


def fitted(row: ModelSettings, train: Vectors, val: Vectors, name: str = "fold_0") -> tuple[keras.Model, History]:
    history = History(0, lambda epoch: None, lambda epoch: None)
    return fit_kernel_head(row, train, val, name, history), history


def decision(head: keras.Model, features: np.ndarray) -> np.ndarray:
    """What the head's own layer of that name gives."""
    inner = keras.Model(head.input, head.get_layer("decision").output)
    return inner.predict(features, verbose=0)[:, 0]


@pytest.mark.parametrize("weighing", [{}, {"class_weight": "balanced"}, {"sampling": "group"}])
def test_the_layers_give_the_machines_decision(weighing: dict, tmp_path: Path) -> None:
    train, val = side(300, seed=1, views=2), side(90, seed=2)
    row = ROW.model_copy(update=weighing)
    head, _ = fitted(row, train, val)
    points, labels = train.features.reshape(600, -1).astype(float), np.repeat(train.labels, 2)
    scaler = StandardScaler().fit(points)
    standard = scaler.transform(points)
    # The mean squared distance of two of n standardised points is twice the variance, 1, of each column that has one.
    machine = SVC(C=3, gamma=0.7 / (2 * 19), class_weight=row.class_weight if weighing.get("class_weight") else None)
    groups = np.repeat(train.groups, 2)
    machine.fit(standard, labels, sample_weight=group_weights(labels, groups) if row.sampling == "group" else None)
    expected = machine.decision_function(scaler.transform(val.features[:, 0]))
    np.testing.assert_allclose(decision(head, val.features[:, 0]), expected, atol=1e-4)
    assert roc_auc_score(val.labels, expected) > 0.9

    export(head, tmp_path / "head.xml")
    head.save(tmp_path / "head.keras")
    loaded = keras.saving.load_model(tmp_path / "head.keras", safe_mode=True)
    sigmoids = head.predict(val.features[:, 0], verbose=0)
    np.testing.assert_array_equal(loaded.predict(val.features[:, 0], verbose=0), sigmoids)
    np.testing.assert_allclose(compiled(tmp_path / "head.xml")(val.features[:, 0])[0], sigmoids, atol=2e-4)


def test_the_mean_squared_distance_is_that_of_the_training_images() -> None:
    standard = StandardScaler().fit_transform(side(300, seed=1).features[:, 0])
    distances = np.square(standard[:, None] - standard).sum(axis=-1)
    assert distances.mean() == pytest.approx(2 * 19, rel=1e-3)


def test_p_is_calibrated_on_val_and_two_sigmoids_sum_to_one() -> None:
    train, val = side(300, seed=1), side(400, seed=2)
    head, history = fitted(ROW, train, val)
    sigmoids = head.predict(val.features[:, 0], verbose=0)
    np.testing.assert_allclose(sigmoids.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.asarray(probability(sigmoids))[:, 0], sigmoids[:, 1], atol=1e-6)
    assert sigmoids[:, 1].mean() == pytest.approx(val.labels.mean(), abs=0.01)
    (epoch,) = history.epochs
    assert set(epoch) == {*HISTORY_COLUMNS} - {"learning_rate"}
    assert epoch["epoch"] == 1
    p = sigmoids[:, 1].astype(float)
    assert epoch["val_accuracy"] == pytest.approx(((p > 0.5) == val.labels).mean())
    losses = np.where(val.labels == 1, -np.log(p), -np.log(1 - p))
    assert epoch["val_loss"] == pytest.approx(losses.mean(), rel=1e-5)
    assert epoch["accuracy"] > epoch["val_accuracy"] > 0.8


def test_a_val_side_that_disagrees_does_not_turn_the_order() -> None:
    train, val = side(300, seed=1), side(400, seed=2)
    head, _ = fitted(ROW, train, replace(val, labels=1 - val.labels))
    p = head.predict(val.features[:, 0], verbose=0)[:, 1]
    assert roc_auc_score(val.labels, p) > 0.9
    assert np.ptp(p) < 0.05


def test_a_column_that_never_varied_in_training_decides_nothing() -> None:
    train, val = side(300, seed=1), side(90, seed=2)
    head, _ = fitted(ROW, train, val)
    moved = val.features[:, 0].copy()
    moved[:, -1] += 0.01
    np.testing.assert_allclose(decision(head, moved), decision(head, val.features[:, 0]), atol=1e-4)


@pytest.fixture
def data(images: pd.DataFrame) -> TrainingData:
    labels = images["label"].to_numpy(int)
    features = np.random.default_rng(0).normal(size=(len(images), 2, 12)).astype(np.float32)
    features[..., :2] += 1.5 * labels[:, None, None]
    known = (images[name].to_numpy() for name in ("image_id", "sha256"))
    return TrainingData(*known, labels, images["group"].to_numpy(), features, None)


def folds(data: TrainingData, images: pd.DataFrame, store: Path) -> list[TrainedFold]:
    split = make_splits(images, Split(folds=3), ("subject",))
    row = ROW.model_copy(update={"views": 1})
    return list(Training(row, Train(), Augment(), data, split[split["protocol"] == "subject"], store).folds())


def test_a_fold_reads_its_train_side_and_plain_val_and_repeats_to_the_last_bit(
    data: TrainingData, images: pd.DataFrame, tmp_path: Path
) -> None:
    first = folds(data, images, tmp_path)
    split = make_splits(images, Split(folds=3), ("subject",))
    for number, fold in enumerate(first):
        sides = split[(split["protocol"] == "subject") & (split["fold"] == number)]
        features, labels = data.features.copy(), data.labels.copy()
        features[data.positions(sides, "test")], labels[data.positions(sides, "test")] = np.nan, -1
        features[data.positions(sides, "val"), 1:] = np.nan
        blinded = Training(
            ROW.model_copy(update={"views": 1}),
            Train(),
            Augment(),
            replace(data, features=features, labels=labels),
            sides,
            tmp_path,
        )
        (again,) = blinded.folds()
        assert [weights.tolist() for weights in again.model.get_weights()] == [
            weights.tolist() for weights in fold.model.get_weights()
        ]


def test_a_raw_model_is_the_mean_of_kernel_heads(tmp_path: Path) -> None:
    from leukoscope.data.pack import frame_and_resize
    from leukoscope.data.synthetic import fixed_cells
    from leukoscope.models.backbones import build_backbone

    row = ROW.model_copy(update={"size": 64, "frame": 300, "rotations": 4})
    backbone = build_backbone("mobilenetv2", "none", 300, 64)
    pictures = np.stack(fixed_cells(12, 5))
    framed = np.stack([frame_and_resize(picture, 300, 64) for picture in pictures])
    vectors = Vectors(
        backbone.predict(framed, verbose=0).max(axis=(1, 2))[:, None], np.arange(12) % 2, np.arange(12).astype(str)
    )
    heads = [fitted(row, vectors, vectors, f"fold_{fold}")[0] for fold in range(2)]
    raw_model(row, heads).save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    turns = [np.rot90(framed, turn, axes=(1, 2)) for turn in range(4)]
    expected = np.mean(
        [heads[0].predict(backbone.predict(turn, verbose=0).max(axis=(1, 2)), verbose=0)[:, 1] for turn in turns],
        axis=0,
    )
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(model.predict(pictures, verbose=0)[:, 0], expected, atol=1e-3)
