"""Statistics of the cell beside a kernel head: weighed where groups are unseen, and stored as stock layers."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from leukoscope.config.rows import ModelSettings
from leukoscope.core.errors import SplitError
from leukoscope.training.fitting import History, Vectors
from leukoscope.training.kernel import fit_kernel_head
from leukoscope.training.stacking import SMALLEST_WEIGHT, Evidence, stacked

ROW = ModelSettings(backbone="mobilenet", weights="none", head="kernel", statistics=("area",))
GROUPS = 24


def cells(images: int, seed: int, groups: int = GROUPS, signal: float = 1.2) -> Vectors:
    """Groups of one class, which columns tell apart group by group, and an area that tells the classes apart."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, groups, images)
    labels = group % 2
    of_group = np.random.default_rng(99).normal(size=(groups, 40))
    columns = of_group[group] + 0.3 * rng.normal(size=(images, 40)) + 0.45 * labels[:, None]
    area = signal * (labels - 0.5) + 0.5 * rng.normal(size=images)
    features = np.column_stack([columns, area]).astype(np.float32)[:, None]
    return Vectors(features, labels, group.astype(str))


def unseen(images: int, seed: int) -> Vectors:
    """The same with groups that no training has."""
    drawn = cells(images, seed)
    rng = np.random.default_rng(seed)
    features = drawn.features.copy()
    of_group = rng.normal(size=(GROUPS, 40))
    noise = 0.3 * rng.normal(size=(images, 40)) + 0.45 * drawn.labels[:, None]
    features[:, 0, :-1] = of_group[drawn.groups.astype(int)] + noise
    return Vectors(features, drawn.labels, np.char.add("unseen ", drawn.groups))


def fitted(row: ModelSettings, train: Vectors, val: Vectors) -> keras.Model:
    return fit_kernel_head(row, train, val, "fold_0", History(0, lambda epoch: None, lambda epoch: None))


def p_all(head: keras.Model, side: Vectors) -> np.ndarray:
    return head.predict(side.features[:, 0], verbose=0)[:, 1]


def test_what_a_machine_cannot_learn_of_unseen_groups_their_area_tells() -> None:
    train, val, test = cells(400, 1), unseen(200, 2), unseen(400, 3)
    with_area = roc_auc_score(test.labels, p_all(fitted(ROW, train, val), test))
    without = ROW.model_copy(update={"statistics": ()})
    bare = [replace(side, features=side.features[..., :-1]) for side in (train, val, test)]
    alone = roc_auc_score(test.labels, p_all(fitted(without, *bare[:2]), bare[2]))
    assert with_area > alone + 0.02
    assert with_area > 0.9


def test_an_area_that_tells_nothing_gets_no_weight() -> None:
    train = cells(400, 1, signal=0)
    head = fitted(ROW, train, unseen(200, 2))
    decision, area = np.abs(np.asarray(head.get_layer("sigmoids").kernel)[:, 1])
    spread = keras.Model(head.input, head.get_layer("decision").output).predict(train.features[:, 0], verbose=0).std()
    assert area * 0.5 < 0.25 * decision * spread  # 0.5 is the area's own deviation


def test_the_logit_is_linear_in_the_decision_and_the_statistics() -> None:
    train, val, test = cells(400, 1), unseen(200, 2), unseen(100, 3)
    head = fitted(ROW, train, val)
    p = p_all(head, test).astype(float)
    decision = keras.Model(head.input, head.get_layer("decision").output).predict(test.features[:, 0], verbose=0)[:, 0]
    weights = np.asarray(head.get_layer("sigmoids").kernel)[:, 1]
    intercept = float(np.asarray(head.get_layer("sigmoids").bias)[1])
    logit = Evidence(weights, intercept).of(decision, test.features[:, 0, -1:])
    np.testing.assert_allclose(np.log(p / (1 - p)), logit, atol=1e-3)
    moved = replace(test, features=test.features + np.eye(41, dtype=np.float32)[-1])
    assert (p_all(head, moved) > p_all(head, test)).all()  # a larger cell, the same pixels


def test_a_group_decides_nothing_about_itself() -> None:
    train = cells(200, 1)
    asked: list[int] = []

    def decided(known: np.ndarray, left: np.ndarray) -> np.ndarray:
        assert not set(train.groups[known]) & set(train.groups[left])
        asked.extend(left)
        return train.features[left, 0, 0]

    evidence = stacked(train, 1, decided)
    assert sorted(asked) == list(range(200))
    assert evidence.weights.shape == (2,)


def test_every_view_trains_and_plain_views_are_weighed() -> None:
    train = cells(200, 1)
    views = replace(train, features=np.repeat(train.features, 3, axis=1))

    def decided(known: np.ndarray, left: np.ndarray) -> np.ndarray:
        assert len(known) % 3 == 0
        assert (left % 3 == 0).all()
        assert not set(train.groups[known // 3]) & set(train.groups[left // 3])
        return views.features[left // 3, 0, 0]

    plain = stacked(train, 1, lambda known, left: train.features[left, 0, 0])
    of_views = stacked(views, 1, decided)
    np.testing.assert_allclose(of_views.weights, plain.weights)


def test_classes_that_do_not_overlap_have_finite_weights() -> None:
    train = cells(200, 1)
    evidence = stacked(train, 1, lambda known, left: 10.0 * train.labels[left] - 5)
    assert np.isfinite(evidence.weights).all()
    assert evidence.weights[0] > 0


def test_where_a_class_has_one_group_its_images_are_left_out() -> None:
    train = cells(40, 1, groups=2)
    asked: list[int] = []

    def decided(known: np.ndarray, left: np.ndarray) -> np.ndarray:
        assert not set(known) & set(left)
        asked.extend(left)
        return train.features[left, 0, 0]

    assert np.isfinite(stacked(train, 1, decided).weights).all()
    assert sorted(asked) == list(range(40))


def test_one_image_of_a_class_is_too_few_and_says_what_to_do() -> None:
    train = cells(40, 1, groups=2)
    at = np.concatenate([np.flatnonzero(train.labels == 0), np.flatnonzero(train.labels == 1)[:1]])
    few = Vectors(train.features[at], train.labels[at], train.groups[at])
    with pytest.raises(SplitError, match=r"two images of each class .* lower split.folds"):
        stacked(few, 1, lambda known, left: np.zeros(len(left)))


def test_left_out_groups_do_not_turn_a_decision_around() -> None:
    train = cells(200, 1)
    evidence = stacked(train, 0, lambda known, left: 0.5 - train.labels[left])
    assert evidence.weights == [SMALLEST_WEIGHT]


def test_a_head_with_statistics_loads_in_safe_mode(tmp_path: Path) -> None:
    head = fitted(ROW, cells(200, 1), unseen(100, 2))
    head.save(tmp_path / "head.keras")
    loaded = keras.saving.load_model(tmp_path / "head.keras", safe_mode=True)
    test = unseen(50, 3)
    np.testing.assert_array_equal(p_all(loaded, test), p_all(head, test))
