"""Ways of training one head for every subject, and the table of what each gains."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from leukoscope.config.params import Evaluate
from leukoscope.config.rows import ModelSettings
from leukoscope.training.kernel import Machine
from leukoscope.training.task import TrainingData
from studies import robust_heads, robust_training
from studies.robust_heads import Deal, as_inputs, deals, environments, table, vectors, worst_accuracy
from studies.robust_training import METHODS, Examples, Fitter, Head, batch_of

COLUMNS, ENVIRONMENTS, PER_GROUP = 12, 8, 10
CLASSES = np.repeat([0, 1], ENVIRONMENTS // 2)


def examples(seed: int = 3) -> Examples:
    """Ten images of each of eight subjects, four of a class; the classes differ in the first column."""
    environment = np.repeat(np.arange(ENVIRONMENTS), PER_GROUP)
    features = np.random.default_rng(seed).normal(size=(len(environment), COLUMNS)).astype(np.float32)
    features[:, 0] += 3 * CLASSES[environment]
    return Examples(features, CLASSES[environment], np.array([f"s{e}" for e in environment]), environment)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_every_way_trains_the_same_head_again_from_its_seed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robust_training, "EPOCHS", 2)
    fitter, train, val = Fitter(METHODS[name], COLUMNS, CLASSES), examples(), examples(4)
    first, other, again = (fitter.fit(train, val, seed).logits(val.features) for seed in (1, 2, 1))
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(again, first)
    assert not np.array_equal(other, first)


def test_what_is_trained_tells_the_classes_of_other_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robust_training, "LEARNING_RATE", 0.01)
    val = examples(4)
    logits = Fitter(METHODS["plain"], COLUMNS, CLASSES).fit(examples(), val, seed=1).logits(val.features)
    assert np.mean((logits > 0) == val.labels) > 0.85


def test_group_dro_weighs_a_group_more_the_worse_it_is() -> None:
    head, batch = Head(COLUMNS, CLASSES), batch_of(examples(), ENVIRONMENTS)
    head.share.assign(np.full(ENVIRONMENTS, 1 / ENVIRONMENTS, np.float32))
    head.dropout.rate = 0
    losses = np.asarray(robust_training.environment_losses(head, batch)[0])
    robust_training.group_dro(head, batch)
    share = np.asarray(head.share)
    assert share.sum() == pytest.approx(1)
    assert list(np.argsort(share)) == list(np.argsort(losses))


def test_a_group_that_is_in_no_batch_neither_counts_nor_gains() -> None:
    train = examples()
    kept = train.environments != 2
    head = Head(COLUMNS, CLASSES)
    head.share.assign(np.where(np.arange(ENVIRONMENTS) == 2, 0, 1 / 7).astype(np.float32))
    batch = batch_of(Examples(*(values[kept] for values in vars(train).values())), ENVIRONMENTS)
    losses, present = (np.asarray(values) for values in robust_training.environment_losses(head, batch))
    robust_training.group_dro(head, batch)
    assert (losses[2], present.sum(), np.asarray(head.share)[2]) == (0, 7, 0)
    assert np.isfinite(robust_training.rex(head, batch))
    assert np.isfinite(robust_training.coral(head, batch))


def test_mixup_mixes_images_of_different_subjects() -> None:
    batch, rng = batch_of(examples(), ENVIRONMENTS), np.random.default_rng(1)
    mixed = robust_training.mixup(rng, batch)
    subjects = (mixed.member > 0).sum(axis=1)
    assert set(subjects) <= {1, 2}  # a share drawn from beta(0.2, 0.2) may be 1 in float32
    assert np.mean(subjects == 2) > 0.8
    np.testing.assert_allclose(mixed.member.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(mixed.target, mixed.member @ CLASSES, atol=1e-6)
    assert 0 < np.mean((mixed.target > 0) & (mixed.target < 1)) < 1  # partners of either class


def test_mixup_within_a_class_leaves_targets_as_they_are() -> None:
    batch, rng = batch_of(examples(), ENVIRONMENTS), np.random.default_rng(1)
    mixed = robust_training.mixup_within_class(rng, batch)
    assert ((mixed.member > 0).sum(axis=1) == 2).all()
    np.testing.assert_allclose(mixed.target, batch.target, atol=1e-6)


def test_an_image_without_a_partner_stays_as_it_is() -> None:
    alone = batch_of(examples(), ENVIRONMENTS)
    alone = robust_training.Batch(*(values[:PER_GROUP] for values in alone))  # of one subject
    mixed = robust_training.mixup(np.random.default_rng(1), alone)
    np.testing.assert_allclose(mixed.features, alone.features, rtol=1e-5)


def test_gradient_reversal_reverses() -> None:
    import tensorflow as tf

    values, target = tf.constant([1.0, 2.0]), tf.constant([3.0, 5.0])
    with tf.GradientTape() as tape:
        tape.watch(values)
        passed = robust_training.reversed_gradient(values, tf.constant(0.25))
        loss = tf.reduce_sum(passed * target)
    np.testing.assert_array_equal(passed, values)
    np.testing.assert_allclose(tape.gradient(loss, values), -0.25 * target)


def test_an_adversary_that_knows_the_class_pays_nothing_for_telling_it() -> None:
    head, batch = Head(COLUMNS, CLASSES), batch_of(examples(), ENVIRONMENTS)
    head.dropout.rate = 0
    head.adversary.set_weights([np.zeros((robust_training.HIDDEN, ENVIRONMENTS)), np.zeros(ENVIRONMENTS)])
    plain, blind, knowing = (
        float(loss(head, batch))
        for loss in (robust_training.plain, robust_training.adversarial, robust_training.adversarial_within_class)
    )
    assert blind - plain == pytest.approx(np.log(ENVIRONMENTS), rel=1e-4)  # an even guess among all subjects
    assert knowing - plain == pytest.approx(np.log(ENVIRONMENTS / 2), rel=1e-4)


def test_coral_asks_subjects_of_one_class_alone_to_agree() -> None:
    def penalty(shift: np.ndarray) -> float:
        train = examples()
        alike = np.tile(train.features[:PER_GROUP], (ENVIRONMENTS, 1)) + shift[train.environments][:, None]
        batch = batch_of(replace(train, features=alike.astype(np.float32)), ENVIRONMENTS)
        return float(robust_training.coral(head, batch)) - float(robust_training.plain(head, batch))

    head = Head(COLUMNS, CLASSES)
    head.dropout.rate = 0
    assert penalty(np.zeros(ENVIRONMENTS)) == pytest.approx(0, abs=1e-4)
    assert penalty(CLASSES * 2.0) == pytest.approx(0, abs=1e-4)
    assert penalty(np.arange(ENVIRONMENTS) % 2 * 2.0) > 0.01


def images_and_data() -> tuple[pd.DataFrame, TrainingData]:
    """Sixteen subjects' images as images.parquet has them, with features [images, 1 + 3 turns, columns]."""
    rng, rows = np.random.default_rng(5), []
    for subject, image in itertools.product(range(16), range(12)):
        name = f"{subject:02d}-{image:02d}"
        rows.append((name, "train", float(subject % 2), f"s{subject:02d}", name, None))
    images = pd.DataFrame(rows, columns=["image_id", "set", "label", "group", "sha256", "duplicate_of"])
    labels = images["label"].to_numpy(int)
    features = rng.normal(size=(len(images), 4, COLUMNS)).astype(np.float32) + labels[:, None, None]
    ids, groups = images["image_id"].to_numpy(), images["group"].to_numpy()
    return images, TrainingData(ids, ids, labels, groups, features, None)


@pytest.mark.slow
def test_every_method_says_something_of_every_tested_image_and_has_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robust_training, "EPOCHS", 2)
    monkeypatch.setattr(robust_heads, "DEALS", (1, 2))
    monkeypatch.setattr(robust_heads, "SMALLEST_GROUP", 12)
    some = {name: METHODS[name] for name in ("plain", "group DRO")}
    monkeypatch.setattr(robust_training, "METHODS", some)
    images, data = images_and_data()
    row = ModelSettings(backbone="mobilenet", weights="none", head="kernel", rotations=4)
    dealt = deals(row, images, data, folds=3)
    names = [*robust_heads.KERNELS, *some, robust_heads.CHOSEN, *robust_heads.JOINED]
    for deal in dealt:
        assert list(deal.p) == names
        assert all(((p >= 0) & (p <= 1)).all() and len(p) == len(images) for p in deal.p.values())
        np.testing.assert_allclose(deal.p["kernel + plain"], (deal.p["kernel"] + deal.p["plain"]) / 2)
    lines = table(dealt, Evaluate(bootstrap=100)).splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == names
    assert all(line.count("|") == lines[0].count("|") for line in lines)
    assert lines[4].split(" | ")[2] == ""  # plain beside plain


def test_a_head_sees_the_components_that_the_kernel_compares_and_the_statistics_at_their_share() -> None:
    _, data = images_and_data()
    row = ModelSettings(backbone="mobilenet", weights="none", head="kernel", statistics=("area",), svm_components=5)
    train, val, test = np.split(np.arange(192), [96, 144])
    comparison = Machine.fit(row, vectors(data, train, 1)).comparison
    seen = as_inputs(row, data, comparison, train, val, test).vectors()
    assert seen.shape == (192, 4, 5 + 1)
    assert (seen[test] != 0).all()
    inputs = seen[train, 0]
    np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=1e-5)
    squares = np.square(inputs).mean(axis=0)
    assert squares[:-1].sum() == pytest.approx(5, rel=1e-4)
    assert squares[-1] / squares.sum() == pytest.approx(row.statistics_share, rel=1e-4)


def test_an_environment_is_a_groups_images_of_one_class() -> None:
    _, data = images_and_data()
    mixed = replace(data, groups=np.where(data.groups == "s01", "s00", data.groups))  # a group of both classes
    classes, environment = environments(mixed)
    assert (classes[environment] == mixed.labels).all()
    assert len(classes) == len(np.unique(mixed.groups)) + 1


def test_the_worst_group_is_none_of_a_few_images() -> None:
    groups = np.repeat(["large", "small", "fair"], [20, 2, 40])
    labels = np.ones(62, int)
    p = np.concatenate([np.repeat([0.9, 0.1], [15, 5]), [0.1, 0.1], np.full(40, 0.9)])
    assert worst_accuracy(Deal(labels, groups, {"plain": p}), "plain") == 0.75
