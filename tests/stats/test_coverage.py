"""Intervals on simulated cells whose truth is known: how often they cover it, with as few subjects as there are."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from leukoscope.config.params import Evaluate
from leukoscope.evaluation.comparison import paired_auroc_gap
from leukoscope.stats.bootstrap import resample
from leukoscope.stats.metrics import called_all
from leukoscope.stats.resampled import auroc_resamples, count_resamples

STUDIES = 250
SHIFT, OF_SUBJECTS, OF_CELLS = 0.8, 0.8, 1.0  # half the distance of the classes, and the two spreads, in logits
TRUTH = {
    "auroc": norm.cdf(2 * SHIFT / np.sqrt(2 * (OF_SUBJECTS**2 + OF_CELLS**2))),
    "recall": norm.cdf(SHIFT / np.sqrt(OF_SUBJECTS**2 + OF_CELLS**2)),
    "specificity": norm.cdf(SHIFT / np.sqrt(OF_SUBJECTS**2 + OF_CELLS**2)),
    "accuracy": norm.cdf(SHIFT / np.sqrt(OF_SUBJECTS**2 + OF_CELLS**2)),
}
RESTS_ON = {"recall": (1,), "specificity": (0,)}


def study(all_groups: int, hem_groups: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y, the groups, and the cells' logits: subjects differ in what their cells look like and in how many there are."""
    generator = np.random.default_rng(seed)
    sizes = generator.lognormal(2.5, 0.6, all_groups + hem_groups).astype(int) + 3
    groups = np.repeat(np.arange(len(sizes)), sizes)
    y = (groups < all_groups).astype(np.int64)
    of_subject = generator.normal(0, OF_SUBJECTS, len(sizes))[groups]
    return y, groups, SHIFT * (2 * y - 1) + of_subject + generator.normal(0, OF_CELLS, len(y))


def intervals(y: np.ndarray, p: np.ndarray, groups: np.ndarray, seed: int) -> dict[str, tuple[float, float]]:
    resamples = resample(y, groups, Evaluate(bootstrap=400, seed=seed))
    drawn = {**count_resamples(y, called_all(p), resamples), "auroc": auroc_resamples(y, p, resamples)}
    return {name: resamples.interval(drawn[name], RESTS_ON.get(name, (1, 0))) for name in TRUTH}


@pytest.mark.parametrize(("all_groups", "hem_groups"), [(9, 9), (19, 9), (19, 19)])
def test_intervals_over_groups_cover_the_truth(all_groups, hem_groups):
    covered = dict.fromkeys(TRUTH, 0)
    for seed in range(STUDIES):
        y, groups, logit = study(all_groups, hem_groups, seed)
        for name, (low, high) in intervals(y, expit(logit), groups, seed).items():
            covered[name] += low <= TRUTH[name] <= high
    assert min(covered.values()) / STUDIES >= 0.9, covered


@pytest.mark.parametrize("groups_of_each", [9, 19])
def test_intervals_over_images_are_narrower_and_miss_it(groups_of_each):
    studies, covered = 20, 0
    width = {by: dict.fromkeys(TRUTH, 0.0) for by in ("groups", "images")}
    for seed in range(studies):
        y, groups, logit = study(groups_of_each, groups_of_each, seed)
        for by, witnesses in (("groups", groups), ("images", np.arange(len(y)))):
            for name, (low, high) in intervals(y, expit(logit), witnesses, seed).items():
                width[by][name] += high - low
                covered += by == "images" and low <= TRUTH[name] <= high
    assert all(width["groups"][name] > 1.5 * width["images"][name] for name in TRUTH)
    assert covered / (studies * len(TRUTH)) < 0.75


@pytest.mark.parametrize("groups_of_each", [9, 19])
def test_the_interval_of_a_gap_covers_the_true_one(groups_of_each):
    studies, covered, better = 150, 0, 1.3
    truth = norm.cdf(2 * better * SHIFT / np.sqrt(2 * (OF_SUBJECTS**2 + OF_CELLS**2 + 0.5))) - norm.cdf(
        2 * SHIFT / np.sqrt(2 * (OF_SUBJECTS**2 + OF_CELLS**2 + 0.5))
    )
    for seed in range(studies):
        y, groups, logit = study(groups_of_each, groups_of_each, seed)
        generator = np.random.default_rng(10_000 + seed)
        a, b = (
            logit + more * SHIFT * (2 * y - 1) + generator.normal(0, 0.5, groups.max() + 1)[groups]
            + generator.normal(0, 0.5, len(y))
            for more in (better - 1, 0)
        )  # fmt: skip
        gap = paired_auroc_gap(y, expit(a), expit(b), groups, Evaluate(bootstrap=400, seed=seed))
        assert gap["gap"] == pytest.approx(roc_auc_score(y, a) - roc_auc_score(y, b))
        covered += gap["gap_low"] <= truth <= gap["gap_high"]
    assert covered / studies >= 0.9
