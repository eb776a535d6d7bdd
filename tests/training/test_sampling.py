"""Which images an epoch shows, and what a class weighs."""

import numpy as np
import pytest

from leukoscope.config.rows import ModelSettings
from leukoscope.training.sampling import class_weights, every_image_once, group_weights, groups_alike

# Class 1: groups of 2, 7 and 31 images; class 0: groups of 5 and 6.
GROUPS = np.repeat(["a", "b", "c", "x", "y"], [2, 7, 31, 5, 6])
LABELS = np.isin(GROUPS, ["a", "b", "c"]).astype(int)


def test_by_image_an_epoch_shows_every_image_once() -> None:
    order = every_image_once(np.random.default_rng(0), LABELS, GROUPS)
    assert sorted(order) == list(range(51))
    assert list(order) != sorted(order)


@pytest.mark.parametrize("seed", range(5))
def test_by_group_every_group_of_a_class_is_drawn_equally_often(seed: int) -> None:
    order = groups_alike(np.random.default_rng(seed), LABELS, GROUPS)
    assert len(order) == 51
    assert (LABELS[order] == 1).sum() == 40
    for groups in ("abc", "xy"):
        counts = [(GROUPS[order] == group).sum() for group in groups]
        assert max(counts) - min(counts) <= 1
    of_a, of_c = (np.bincount(order, minlength=51)[group == GROUPS] for group in "ac")
    assert of_a.max() - of_a.min() <= 1  # two images share some 13 draws
    assert of_c.max() == 1  # 31 images share as many: none twice


def test_over_epochs_a_group_has_no_favoured_image_and_no_group_more_draws() -> None:
    rng = np.random.default_rng(1)
    drawn = np.bincount(np.concatenate([groups_alike(rng, LABELS, GROUPS) for _ in range(3000)]), minlength=51)
    for group, share in {"a": 40 / 3, "b": 40 / 3, "c": 40 / 3, "x": 5.5, "y": 5.5}.items():
        own = drawn[group == GROUPS] / 3000
        assert own.sum() == pytest.approx(share, rel=0.01)
        assert own == pytest.approx(np.full(len(own), share / len(own)), rel=0.07)


def test_weights_are_the_shares_of_the_draws_by_group() -> None:
    weights = group_weights(LABELS, GROUPS)
    for group, share in {"a": 40 / 3, "b": 40 / 3, "c": 40 / 3, "x": 5.5, "y": 5.5}.items():
        assert weights[group == GROUPS].sum() == pytest.approx(share)
        assert np.ptp(weights[group == GROUPS]) == 0


def test_balanced_classes_weigh_the_same_in_all() -> None:
    weights = class_weights(ModelSettings(backbone="vgg16", class_weight="balanced"), LABELS)
    assert weights is not None
    assert weights[0] * 11 == pytest.approx(weights[1] * 40) == pytest.approx(51 / 2)
    assert class_weights(ModelSettings(backbone="vgg16"), LABELS) is None
