"""Whether p means what it says: the slope and intercept of its calibration, and Platt's two-parameter scaling.

A calibrated p has slope 1 and intercept 0. The slope is that of a logistic regression of the label on logit(p) (Cox
1958): below 1, p is too sure of itself. The intercept is what must be added to logit(p), its slope left at 1, for the
mean p to equal the share of ALL (calibration in the large): above 0, p is too low on average.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from leukoscope.stats.bootstrap import Floats, Resamples
from leukoscope.stats.metrics import Labels, Scores
from leukoscope.stats.points import Calibration

LOGIT_CLIP = 1e-7
_STEPS = 256
_NEWTON = 25
_LONGEST = 4.0  # the most that a step of Newton's may move any logit: a longer one may leave for good
_CONVERGED = 1e-6
_UNPENALISED = {"C": np.inf, "solver": "newton-cholesky", "tol": 1e-8}


def log_odds(p: Scores) -> Floats:
    """logit(p) after clipping p to [1e-7, 1 - 1e-7]."""
    clipped = np.clip(p, LOGIT_CLIP, 1 - LOGIT_CLIP)
    odds: Floats = np.log(clipped) - np.log1p(-clipped)
    return odds


def platt(y: Labels, p: Scores) -> Calibration:
    """Slope and intercept of calibrated p = sigmoid(slope * logit(p) + intercept), after Platt 1999."""
    (slope,), intercept = logistic(y, log_odds(p)[:, None])
    return Calibration(slope=float(slope), intercept=intercept)


def logistic(y: Labels, predictors: Floats) -> tuple[Floats, float]:
    """Coefficients [predictors] and intercept of the logistic regression of y [n] on predictors [n, predictors].

    Platt's targets, (n1 + 1) / (n1 + 2) for ALL and 1 / (n0 + 2) for hem, keep the fit finite where the classes do not
    overlap; each image enters once as either class, weighted by its target, and the fit has no penalty.
    """
    positives = int(y.sum())
    target = np.where(y == 1, (positives + 1) / (positives + 2), 1 / (len(y) - positives + 2))
    fit = LogisticRegression(**_UNPENALISED).fit(
        np.concatenate([predictors, predictors]),
        np.repeat([1, 0], len(y)),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    return fit.coef_[0], float(fit.intercept_[0])


def rescaled(p: Scores, slope: float | Scores, intercept: float | Scores) -> Scores:
    """Platt's calibrated p: sigmoid(slope * logit(p) + intercept)."""
    scaled: Scores = expit(slope * log_odds(p) + intercept)
    return scaled


def _regression(y: Labels, logit: Floats) -> tuple[float, float] | None:
    """Intercept and slope of the regression of y on logit(p); None unless the classes overlap, for then it has none."""
    positives, negatives = logit[y == 1], logit[y == 0]
    if not (positives.min() < negatives.max() and negatives.min() < positives.max()):
        return None
    fit = LogisticRegression(**_UNPENALISED).fit(logit[:, None], y)
    return float(fit.intercept_[0]), float(fit.coef_[0, 0])


def _shift(y: Labels, logit: Floats) -> float:
    """What added to logit(p) makes the mean p the share of ALL."""
    return float(brentq(lambda shift: np.mean(expit(logit + shift)) - y.mean(), -50, 50))


def slope_and_intercept(y: Labels, p: Scores) -> tuple[float | None, float | None]:
    """The calibration slope, None where the classes do not overlap in p, and intercept, None without both classes."""
    if not 0 < y.sum() < len(y):
        return None, None
    logit = log_odds(p)
    fitted = _regression(y, logit)
    return fitted[1] if fitted else None, _shift(y, logit)


def slope_and_intercept_resamples(y: Labels, p: Scores, resamples: Resamples) -> tuple[Floats, Floats]:
    """The calibration slope and intercept in each resample, NaN where no finite one fits.

    `y` has both classes. Each logit(p) counts at the nearest of 256 even steps over its range, so that the
    regressions of all resamples take a moment.
    """
    logit = log_odds(p)
    steps = np.linspace(logit.min(), logit.max(), _STEPS)
    place = np.rint((logit - steps[0]) / max(np.ptp(steps), 1e-9) * (_STEPS - 1)).astype(np.int64)
    hits, hem = resamples.tallies(y, place)
    n, fitted = hits + hem, _regression(y, logit)
    slopes = _newton(steps, n, hits, fitted)[1] if fitted else np.full(len(n), np.nan)
    return slopes, _newton(steps, n, hits, (_shift(y, logit), 1.0), slope_is_free=False)[0]


def _newton(
    x: Floats, n: Floats, hits: Floats, start: tuple[float, float], *, slope_is_free: bool = True
) -> tuple[Floats, Floats]:
    """Intercepts and slopes of logistic regressions of `hits` out of `n` [fits, x] on x, by Newton's method."""
    a, b = (np.full(len(n), value) for value in start)
    moved = np.full(len(n), np.inf)
    for _ in range(_NEWTON):
        if (moved < _CONVERGED).all():
            break
        with np.errstate(all="ignore"):  # a fit without an optimum runs away; it is made NaN below
            mu = expit(a[:, None] + b[:, None] * x)
            error, curvature = hits - n * mu, n * mu * (1 - mu)
            by_a, by_aa = error.sum(axis=1), curvature.sum(axis=1)
            by_b, by_ab, by_bb = error @ x, curvature @ x, curvature @ x**2
            if not slope_is_free:
                by_b, by_ab, by_bb = np.zeros_like(by_b), np.zeros_like(by_ab), np.ones_like(by_bb)
            det = by_aa * by_bb - by_ab**2
            step_a, step_b = (by_bb * by_a - by_ab * by_b) / det, (by_aa * by_b - by_ab * by_a) / det
            moved = np.abs(step_a) + np.abs(step_b)
            held = np.minimum(1, _LONGEST / (np.abs(step_a) + np.abs(step_b) * np.abs(x).max()))
            a, b = a + held * step_a, b + held * step_b
    found = moved < _CONVERGED
    return np.where(found, a, np.nan), np.where(found, b, np.nan)
