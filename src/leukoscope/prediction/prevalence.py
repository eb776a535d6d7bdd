"""p(ALL) for another share of ALL than the one that the model was calibrated on."""

from __future__ import annotations

import math
from collections.abc import Mapping

CLIP = 1e-7  # as evaluation.calibration clips p


def reweighed(p_all: float, calibration: Mapping[str, float], known: float, wanted: float) -> float:
    """p(ALL) at the prevalence `wanted` (0..1, exclusive), after Bayes.

    logit(p') = slope * logit(p) + intercept + logit(wanted) - logit(known)

    slope and intercept are Platt's calibration on the validation sides (decision.json, `pooled`), whose share of ALL is
    `known`; without it p's own bias would be reweighed with it (Saerens, Latinne, Decaestecker 2002). It assumes that
    cells of a class look the same at either prevalence. The order of cells does not change, and neither do calls: a
    threshold for a specificity does not depend on prevalence.
    """
    p = min(max(p_all, CLIP), 1 - CLIP)
    logit = calibration["slope"] * _logit(p) + calibration["intercept"] + _logit(wanted) - _logit(known)
    return 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0


def _logit(p: float) -> float:
    return math.log(p) - math.log1p(-p)
