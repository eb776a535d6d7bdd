import numpy as np
import pytest
from scipy.special import expit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from leukoscope.artifacts.predictions import labels_and_scores, side_of
from leukoscope.stats.bootstrap import Resamples
from leukoscope.stats.calibration import log_odds, platt, rescaled, slope_and_intercept, slope_and_intercept_resamples


@pytest.fixture
def validated(predictions):
    return labels_and_scores(side_of(predictions, "val"))


def test_calibration_is_platts_as_scikit_learn_fits_it(validated):
    y, p = validated
    logit = np.log(p / (1 - p))[:, None]
    scores = FrozenEstimator(LogisticRegression().fit(logit, y))  # linear in logit(p), which Platt's fit undoes
    fitted = CalibratedClassifierCV(scores, method="sigmoid", cv=2, ensemble=False).fit(logit, y)
    found = platt(y, p)
    ours = 1 / (1 + np.exp(-(found.slope * logit[:, 0] + found.intercept)))
    assert ours == pytest.approx(fitted.predict_proba(logit)[:, 1], abs=1e-4)


def test_calibration_finds_the_distortion_that_was_put_in():
    generator = np.random.default_rng(0)
    logit = generator.normal(0, 2, 40000)
    y = (generator.random(40000) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    distorted = 1 / (1 + np.exp(-(2 * logit - 1)))
    assert platt(y, distorted).model_dump() == pytest.approx({"slope": 0.5, "intercept": 0.5}, abs=0.03)


def test_calibration_stays_finite_where_the_classes_do_not_overlap():
    found = platt(np.array([0, 0, 1, 1]), np.array([0.0, 0.1, 0.9, 1.0]))
    assert np.isfinite([found.slope, found.intercept]).all()
    assert found.slope > 0


def distorted_cells(slope: float, shift: float, n: int = 40000) -> tuple[np.ndarray, np.ndarray]:
    """Labels and a p whose calibration slope, and the constant that belongs with it, are known."""
    generator = np.random.default_rng(0)
    logit = generator.normal(0, 2, n)
    y = (generator.random(n) < expit(logit)).astype(np.int64)
    return y, expit((logit - shift) / slope)


def test_slope_and_intercept_of_calibrated_p_are_one_and_nothing():
    assert slope_and_intercept(*distorted_cells(1, 0)) == pytest.approx((1, 0), abs=0.04)


def test_the_slope_says_that_p_is_too_sure_and_the_intercept_that_it_is_too_low():
    slope, _ = slope_and_intercept(*distorted_cells(0.5, 0))
    assert slope == pytest.approx(0.5, abs=0.03)
    y, p = distorted_cells(1, 0.7)
    assert slope_and_intercept(y, p) == pytest.approx((1, 0.7), abs=0.04)
    assert rescaled(p, 1, slope_and_intercept(y, p)[1]).mean() == pytest.approx(y.mean())


def test_platts_scaling_mends_slope_and_intercept():
    y, p = distorted_cells(0.4, 1)
    found = platt(y, p)
    assert slope_and_intercept(y, rescaled(p, found.slope, found.intercept)) == pytest.approx((1, 0), abs=0.01)


@pytest.mark.parametrize("p", [[0.1, 0.2, 0.8, 0.9], [0.9, 0.8, 0.2, 0.1], [0.3, 0.3, 0.3, 0.3], [0.1, 0.3, 0.3, 0.9]])
def test_classes_that_do_not_overlap_have_no_slope(p):
    slope, intercept = slope_and_intercept(np.array([0, 0, 1, 1]), np.array(p))
    assert slope is None
    assert np.isfinite(intercept)


def test_one_class_has_neither():
    assert slope_and_intercept(np.ones(3, dtype=np.int64), np.array([0.2, 0.5, 0.7])) == (None, None)


def test_a_resample_far_from_the_whole_sample_has_its_slope_too():
    generator = np.random.default_rng(0)
    logit = np.concatenate([generator.normal(0, 4, 3000), generator.normal(9, 4, 200)])
    member = np.repeat([0, 1], [3000, 200])
    true_slope = np.where(member == 0, 1.0, 0.05)  # a subject of hem that p takes for ALL, and says so
    y = (generator.random(3200) < expit(true_slope * logit - (member == 1))).astype(np.int64)
    weights = np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 40.0]])
    resamples = Resamples(member, weights, {1: 2.0, 0: 2.0}, 0.95, None)
    slopes, _ = slope_and_intercept_resamples(y, expit(logit), resamples)
    for slope, weight in zip(slopes, weights, strict=True):
        fit = LogisticRegression(C=np.inf).fit(log_odds(expit(logit))[:, None], y, sample_weight=weight[member])
        assert slope == pytest.approx(fit.coef_[0, 0], abs=0.005)
