"""Reweighing p follows Bayes, and keeps the order of cells."""

from __future__ import annotations

import numpy as np
import pytest

from leukoscope.prediction.scoring import reweighed
from leukoscope.stats.points import Calibration

AS_IT_IS = Calibration(slope=1, intercept=0)


@pytest.mark.parametrize("p", [0.01, 0.3, 0.5, 0.99])
def test_the_known_prevalence_changes_nothing(p: float) -> None:
    assert reweighed(p, AS_IT_IS, 0.67, 0.67) == pytest.approx(p)


def test_it_is_bayes_for_classes_of_known_densities() -> None:
    """Two normal densities: the posterior at one share of ALL, reweighed, is that at the other."""
    x = np.linspace(-3, 4, 15)
    of_all, of_hem = np.exp(-((x - 1) ** 2) / 2), np.exp(-(x**2) / 2)
    posterior = {share: share * of_all / (share * of_all + (1 - share) * of_hem) for share in (0.68, 0.05)}
    ours = [reweighed(p, AS_IT_IS, 0.68, 0.05) for p in posterior[0.68]]
    np.testing.assert_allclose(ours, posterior[0.05], rtol=1e-9)


def test_p_is_calibrated_before_it_is_reweighed() -> None:
    calibration = Calibration(slope=0.5, intercept=-0.2)
    expected = 1 / (1 + np.exp(-(0.5 * np.log(0.9 / 0.1) - 0.2 + np.log(0.1 / 0.9) - np.log(0.6 / 0.4))))
    assert reweighed(0.9, calibration, 0.6, 0.1) == pytest.approx(expected)


def test_certainty_stays_finite_and_the_order_is_kept() -> None:
    ours = [reweighed(p, AS_IT_IS, 0.68, 0.001) for p in (0.0, 1e-9, 0.2, 0.9, 1.0)]
    assert ours == sorted(ours)
    assert all(0 <= p <= 1 for p in ours)
