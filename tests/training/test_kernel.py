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

from leukoscope.config.params import Augment, Split, Train
from leukoscope.config.rows import ModelSettings
from leukoscope.data.splits import make_splits
from leukoscope.features.engine import compiled, export
from leukoscope.training.assembly import raw_model
from leukoscope.training.fitting import HISTORY_COLUMNS, History, Vectors
from leukoscope.training.heads import probability
from leukoscope.training.kernel import fit_kernel_head
from leukoscope.training.sampling import group_weights
from leukoscope.training.saved_folds import fold_sigmoids, save_fold
from leukoscope.training.task import TrainedFold, TrainingData
from leukoscope.training.training import Training

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
    # scikit-learn's solver stops within a tolerance, where components turn the last digits of its input
    np.testing.assert_allclose(decision(head, val.features[:, 0]), expected, atol=5e-3)
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


def test_p_is_calibrated_for_groups_that_are_not_there_and_two_sigmoids_sum_to_one() -> None:
    train, val = side(300, seed=1), side(400, seed=2)
    head, history = fitted(ROW, train, val)
    sigmoids = head.predict(val.features[:, 0], verbose=0)
    np.testing.assert_allclose(sigmoids.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.asarray(probability(sigmoids))[:, 0], sigmoids[:, 1], atol=1e-6)
    assert sigmoids[:, 1].mean() == pytest.approx(val.labels.mean(), abs=0.05)
    (epoch,) = history.epochs
    assert set(epoch) == {*HISTORY_COLUMNS} - {"learning_rate"}
    assert epoch["epoch"] == 1
    p = sigmoids[:, 1].astype(float)
    assert epoch["val_accuracy"] == pytest.approx(((p > 0.5) == val.labels).mean())
    losses = np.where(val.labels == 1, -np.log(p), -np.log(1 - p))
    assert epoch["val_loss"] == pytest.approx(losses.mean(), rel=1e-5)
    assert epoch["accuracy"] > epoch["val_accuracy"] > 0.8


def test_val_decides_nothing_about_the_head_that_is_asked_about_it() -> None:
    train, val = side(300, seed=1), side(400, seed=2)
    head, _ = fitted(ROW, train, val)
    turned, _ = fitted(ROW, train, replace(val, labels=1 - val.labels))
    for own, others in zip(head.get_weights(), turned.get_weights(), strict=True):
        np.testing.assert_array_equal(own, others)


def test_a_few_components_say_nearly_what_all_columns_say() -> None:
    rng = np.random.default_rng(5)
    mixed = rng.normal(size=(20, 300)).astype(np.float32)
    sides = (side(300, seed=1), side(90, seed=2))
    train, val = (replace(one, features=one.features @ mixed) for one in sides)
    heads = {count: fitted(ROW.model_copy(update={"svm_components": count}), train, val)[0] for count in (19, 300)}
    assert heads[19].get_layer("components").kernel.shape == (300, 19)
    few, all_columns = (decision(head, val.features[:, 0]) for head in heads.values())
    np.testing.assert_allclose(few, all_columns, atol=2e-2)


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


def test_a_fold_does_not_read_its_test_side_and_repeats_to_the_last_bit(
    data: TrainingData, images: pd.DataFrame, tmp_path: Path
) -> None:
    first = folds(data, images, tmp_path)
    split = make_splits(images, Split(folds=3), ("subject",))
    for number, fold in enumerate(first):
        sides = split[(split["protocol"] == "subject") & (split["fold"] == number)]
        features, labels = data.features.copy(), data.labels.copy()
        features[data.positions(sides, "test")], labels[data.positions(sides, "test")] = np.nan, -1
        blinded = Training(
            ROW.model_copy(update={"views": 1}),
            Train(),
            Augment(),
            replace(data, features=features, labels=labels),
            sides,
            tmp_path,
        )
        (again,) = blinded.folds()
        for before, after in ((again.model, fold.model), (again.before_val, fold.before_val)):
            assert [values.tolist() for values in before.get_weights()] == [
                values.tolist() for values in after.get_weights()
            ]


def test_vals_images_train_the_model_and_not_the_one_that_is_asked_about_them(
    data: TrainingData, images: pd.DataFrame, tmp_path: Path
) -> None:
    split = make_splits(images, Split(folds=3), ("subject",))
    sides = split[(split["protocol"] == "subject") & (split["fold"] == 0)]
    moved = data.features.copy()
    moved[data.positions(sides, "val")] += 1
    first, other = (
        next(iter(Training(ROW, Train(), Augment(), replace(data, features=features), sides, tmp_path).folds()))
        for features in (data.features, moved)
    )
    same = [np.array_equal(a, b) for a, b in zip(first.model.get_weights(), other.model.get_weights(), strict=False)]
    assert not all(same)
    for own, others in zip(first.before_val.get_weights(), other.before_val.get_weights(), strict=True):
        np.testing.assert_array_equal(own, others)
    save_fold(first, tmp_path)
    vectors = data.features[:, 0]
    for model, knows_val in ((first.model, True), (first.before_val, False)):
        said = fold_sigmoids(tmp_path, 0, knows_val=knows_val)(vectors)
        np.testing.assert_allclose(said, model.predict(vectors, verbose=0), atol=2e-4)
    alone = Training(ROW, Train(), Augment(), data, sides, tmp_path, with_val=False)
    (without,) = alone.folds()
    assert without.before_val is None
    for own, others in zip(first.before_val.get_weights(), without.model.get_weights(), strict=True):
        np.testing.assert_array_equal(own, others)


def test_a_raw_model_is_the_mean_of_kernel_heads(tmp_path: Path) -> None:
    from leukoscope.data.synthetic.cells import fixed_cells
    from leukoscope.features.backbones import build_backbone
    from leukoscope.imaging.framing import frame_and_resize

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
