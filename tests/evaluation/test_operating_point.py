import json

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from leukoscope.config import Evaluate, Threshold
from leukoscope.errors import SplitError
from leukoscope.evaluation.metrics import called_all
from leukoscope.evaluation.operating_point import operating_point, platt, threshold_at_specificity
from leukoscope.evaluation.results import labels_and_scores, side_of


def specificity(y, p, threshold):
    return float(np.mean(called_all(p[y == 0], threshold) == 0))


@pytest.fixture
def validated(predictions):
    rows = side_of(predictions, "val")
    return *labels_and_scores(rows), rows["group"]


@pytest.mark.parametrize("at_least", [0.5, 0.7, 0.9, 0.99])
@pytest.mark.parametrize("decimals", [1, 2, 15])
def test_the_threshold_is_the_smallest_that_keeps_the_specificity(validated, at_least, decimals):
    y, p, _ = validated
    p = np.round(p, decimals)
    threshold = threshold_at_specificity(y, p, at_least)
    assert specificity(y, p, threshold) >= at_least
    assert specificity(y, p, np.nextafter(threshold, 0)) < at_least


def test_fifty_five_of_a_hundred_is_not_rounded_up_to_fifty_six():
    assert 0.55 * 100 > 55
    y, p = np.zeros(100, dtype=np.int64), np.arange(100) / 100
    assert threshold_at_specificity(y, p, 0.55) == p[54]


def test_the_operating_point_says_what_its_threshold_achieves(validated, settings):
    y, p, groups = validated
    point = operating_point(y, p, groups, Threshold(at_least=0.9), settings)
    assert point["specificity"] == pytest.approx(specificity(y, p, point["threshold"]))
    assert point["specificity"] >= 0.9
    assert point["sensitivity"] == pytest.approx(np.mean(p[y == 1] > point["threshold"]))
    assert point["refer_low"] <= point["threshold"] <= point["refer_high"]
    assert point["refer_low"] < point["refer_high"]
    assert json.loads(json.dumps(point, allow_nan=False)) == point


def test_the_refer_band_is_made_of_thresholds_of_resampled_groups():
    y = np.array([1, 1, 1, 0, 0, 0])
    p = np.array([0.9, 0.9, 0.9, 0.1, 0.2, 0.3])
    bands = {
        level: operating_point(y, p, list("abcxyz"), Threshold(at_least=0.9), Evaluate(bootstrap=5000, level=level))
        for level in (0.95, 0.8)
    }
    # Of the 27 equally likely draws of 3 hem groups, 1 has x alone (threshold 0.1), 8 have no z (0.2 or less)
    assert {level: (band["refer_low"], band["refer_high"]) for level, band in bands.items()} == {
        0.95: (0.1, 0.3),
        0.8: (0.2, 0.3),
    }


def test_two_hem_groups_give_a_threshold_without_a_band(settings):
    y, p = np.array([1, 1, 1, 0, 0]), np.array([0.9, 0.8, 0.7, 0.3, 0.2])
    point = operating_point(y, p, list("abcxy"), Threshold(), settings)
    assert (point["threshold"], point["refer_low"], point["refer_high"]) == (0.3, None, None)
    assert point["refer_reason"] == "2 groups of hem: too few to resample"


def test_two_groups_of_all_do_not_take_the_band_away(settings):
    y, p = np.array([1, 1, 0, 0, 0]), np.array([0.9, 0.8, 0.3, 0.2, 0.1])
    assert operating_point(y, p, list("abxyz"), Threshold(), settings)["refer_reason"] is None


@pytest.mark.parametrize(("label", "name"), [(1, "hem"), (0, "ALL")])
def test_a_validation_side_without_a_class_is_an_error(label, name):
    y, p = np.full(3, label), np.array([0.2, 0.5, 0.8])
    with pytest.raises(SplitError, match=f"no {name} images"):
        operating_point(y, p, list("abc"), Threshold(), Evaluate())


def test_calibration_is_platts_as_scikit_learn_fits_it(validated):
    y, p, _ = validated
    logit = np.log(p / (1 - p))[:, None]
    scores = FrozenEstimator(LogisticRegression().fit(logit, y))  # linear in logit(p), which Platt's fit undoes
    fitted = CalibratedClassifierCV(scores, method="sigmoid", cv=2, ensemble=False).fit(logit, y)
    found = platt(y, p)
    ours = 1 / (1 + np.exp(-(found["slope"] * logit[:, 0] + found["intercept"])))
    assert ours == pytest.approx(fitted.predict_proba(logit)[:, 1], abs=1e-4)


def test_calibration_finds_the_distortion_that_was_put_in():
    generator = np.random.default_rng(0)
    logit = generator.normal(0, 2, 40000)
    y = (generator.random(40000) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    distorted = 1 / (1 + np.exp(-(2 * logit - 1)))
    assert platt(y, distorted) == pytest.approx({"slope": 0.5, "intercept": 0.5}, abs=0.03)


def test_calibration_stays_finite_where_the_classes_do_not_overlap():
    found = platt(np.array([0, 0, 1, 1]), np.array([0.0, 0.1, 0.9, 1.0]))
    assert np.isfinite(list(found.values())).all()
    assert found["slope"] > 0
