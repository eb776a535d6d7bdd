import json

import numpy as np
import pytest

from leukoscope.artifacts.predictions import labels_and_scores, side_of
from leukoscope.config.params import Evaluate, Threshold
from leukoscope.core.errors import SplitError
from leukoscope.stats.metrics import called_all
from leukoscope.stats.operating_point import operating_point, threshold_at_specificity
from leukoscope.stats.points import OperatingPoint


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
    assert point.specificity == pytest.approx(specificity(y, p, point.threshold))
    assert point.specificity >= 0.9
    assert point.sensitivity == pytest.approx(np.mean(p[y == 1] > point.threshold))
    assert point.refer_low <= point.threshold <= point.refer_high
    assert point.refer_low < point.refer_high
    assert OperatingPoint(**json.loads(json.dumps(point.model_dump(), allow_nan=False))) == point


def test_the_refer_band_is_made_of_thresholds_of_resampled_groups():
    y = np.array([1, 1, 1, 0, 0, 0])
    p = np.array([0.9, 0.9, 0.9, 0.1, 0.2, 0.3])
    bands = {
        level: operating_point(y, p, list("abcxyz"), Threshold(at_least=0.9), Evaluate(bootstrap=5000, level=level))
        for level in (0.95, 0.5)
    }
    # Of the 27 equally likely draws of 3 hem groups, 1 has x alone (threshold 0.1), 8 have no z (0.2 or less). With
    # 3 groups the tails are 7e-8 for 0.95 and 0.16 for 0.5.
    assert {level: (band.refer_low, band.refer_high) for level, band in bands.items()} == {
        0.95: (0.1, 0.3),
        0.5: (0.2, 0.3),
    }


def test_two_hem_groups_give_a_threshold_without_a_band(settings):
    y, p = np.array([1, 1, 1, 0, 0]), np.array([0.9, 0.8, 0.7, 0.3, 0.2])
    point = operating_point(y, p, list("abcxy"), Threshold(), settings)
    assert (point.threshold, point.refer_low, point.refer_high) == (0.3, None, None)
    assert point.refer_reason == "2 groups of hem: too few to resample"


def test_two_groups_of_all_do_not_take_the_band_away(settings):
    y, p = np.array([1, 1, 0, 0, 0]), np.array([0.9, 0.8, 0.3, 0.2, 0.1])
    assert operating_point(y, p, list("abxyz"), Threshold(), settings).refer_reason is None


@pytest.mark.parametrize(("label", "name"), [(1, "hem"), (0, "ALL")])
def test_a_validation_side_without_a_class_is_an_error(label, name):
    y, p = np.full(3, label), np.array([0.2, 0.5, 0.8])
    with pytest.raises(SplitError, match=f"no {name} images"):
        operating_point(y, p, list("abc"), Threshold(), Evaluate())
