import numpy as np
import pytest
from scipy.stats import norm, t

from leukoscope.config.params import Evaluate
from leukoscope.stats.bootstrap import effective_number, resample, too_few_groups
from leukoscope.stats.resampled import auroc_resamples, count_resamples


def test_a_resample_keeps_the_number_of_groups_of_each_stratum(settings):
    y = np.array([1, 1, 1, 1, 0, 0, 0, 1, 0, 1, 0])
    groups = np.array(["a", "b", "c", "c", "x", "y", "z", "m", "m", "n", "n"])
    weights = resample(y, groups, settings).weights
    strata = {"ALL": [0, 1, 2], "both": [3, 4], "hem": [5, 6, 7]}  # by name: a b c, m n, x y z
    assert {name: set(weights[:, columns].sum(axis=1)) for name, columns in strata.items()} == {
        "ALL": {3},
        "both": {2},
        "hem": {3},
    }
    assert weights.std(axis=0).min() > 0


def test_the_same_seed_draws_the_same_whatever_the_order_of_rows(tested, settings):
    y, p, groups = tested
    order = np.random.default_rng(0).permutation(len(y))
    first = auroc_resamples(y, p, resample(y, groups, settings))
    again = auroc_resamples(y[order], p[order], resample(y[order], groups[order], settings))
    other = auroc_resamples(y, p, resample(y, groups, Evaluate(bootstrap=settings.bootstrap, seed=settings.seed + 1)))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_both_classes_can_be_too_few(settings):
    reason = resample(np.array([1, 0]), np.array(["a", "x"]), settings).reason
    assert reason == "1 group of ALL and 1 group of hem: too few to resample"


def test_unequal_groups_count_as_fewer():
    assert effective_number([10, 10, 10]) == pytest.approx(3)
    assert effective_number([404, 100, 50]) < 2
    assert effective_number([]) == 0


@pytest.mark.parametrize(
    ("hem_groups", "reason"),
    [(["x", "y"], "2 groups of hem: too few to resample"), (["x", "x"], "1 group of hem: too few to resample")],
)
def test_fewer_than_three_groups_of_a_class_give_no_interval_but_a_reason(hem_groups, reason, settings):
    y, groups = np.array([1, 1, 1, 0, 0]), np.array(["a", "b", "c", *hem_groups])
    resamples = resample(y, groups, settings)
    assert resamples.reason == too_few_groups(y, groups) == reason
    p = np.array([0.9, 0.8, 0.3, 0.4, 0.1])
    assert resamples.interval(auroc_resamples(y, p, resamples)) == (None, None)


def test_a_metric_that_some_resample_leaves_undefined_has_no_interval():
    y, groups = np.array([1, 1, 1, 0, 0, 0]), np.array(list("abcxyz"))
    called = np.array([1, 0, 0, 0, 0, 0])  # without group a, no image is called ALL
    resamples = resample(y, groups, Evaluate(bootstrap=5000))
    drawn = count_resamples(y, called, resamples)
    assert resamples.interval(drawn["precision"]) == (None, None)
    assert resamples.interval(drawn["recall"], labels=(1,)) == (0, 1)


def test_the_interval_reaches_as_far_as_students_t_of_the_effective_groups(tested):
    y, _, groups = tested
    resamples = resample(y, groups, Evaluate(bootstrap=400, level=0.9))
    spread = norm.ppf((np.arange(100_000) + 0.5) / 100_000)
    for label in (1, 0):
        n = effective_number(np.unique(groups[y == label], return_counts=True)[1])
        reach = np.sqrt(n / (n - 1)) * t.ppf(0.95, n - 1)
        assert resamples.interval(spread, labels=(label,)) == pytest.approx((-reach, reach), rel=0.01)
    assert resamples.interval(spread) == resamples.interval(spread, labels=(0,))  # hem has the fewer groups


def test_a_higher_level_widens_the_interval(tested):
    y, p, groups = tested
    narrow, wide = (
        resamples.interval(auroc_resamples(y, p, resamples))
        for resamples in (resample(y, groups, Evaluate(bootstrap=400, level=level)) for level in (0.5, 0.99))
    )
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
