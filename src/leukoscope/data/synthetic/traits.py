"""How lymphoblasts and normal lymphocytes differ, and how much each of them varies over subjects and within one.

A cell's traits are one vector in the order of `TRAITS`. The numbers follow those measured on fold 0 of C-NMC 2019 (3527
cells of 28 subjects): the class means, the covariance of the subjects' means and that of a subject's cells about their
mean. Cells that are larger are also paler and coarser, within a subject and even more between subjects, which is why
a classifier can learn the subjects instead of the disease.

Not all are as measured. The classes' means of fineness and mottle_green stand 0.04 further apart, some spreads over
subjects are wider, so that a small set shows both a signal and a leak; raggedness was set by eye.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

HEM, ALL = 0, 1

TRAITS = (
    "log_area",  # pixels
    "log_red",  # the nucleus's stain, grey levels
    "log_green",
    "log_blue",
    "grain",  # log contrast of chromatin about 5 pixels wide
    "fineness",  # log ratio of the contrast at 2 pixels to that at 10
    "shade",  # log contrast of what is wider than 16 pixels
    "mottle_green",  # the chromatin's contrast in green and in blue, log ratio to that in red
    "mottle_blue",
    "noise",  # log contrast from pixel to pixel: the camera's
    "raggedness",  # log factor on the chance of shreds, bites and whatever clings to a cell
    "fringe_down",  # how much redder, less blue, the rim is at the bottom and at the right, grey levels: the lens's
    "fringe_right",
)

_MEAN = {
    ALL: np.array([10.395, 4.185, 3.219, 4.329, -0.15, -0.815, 1.22, -0.705, -1.033, -0.381, 0.2, 0.0, -1.9]),
    HEM: np.array([10.08, 4.157, 3.186, 4.298, -0.17, -0.925, 1.42, -0.920, -1.066, -0.419, -0.8, 0.0, -1.9]),
}
_BETWEEN_SD = {
    ALL: np.array([0.11, 0.125, 0.185, 0.095, 0.21, 0.12, 0.23, 0.16, 0.18, 0.06, 1.0, 2.4, 2.6]),
    HEM: np.array([0.17, 0.135, 0.19, 0.085, 0.16, 0.09, 0.25, 0.20, 0.12, 0.06, 1.0, 2.4, 2.6]),
}
_WITHIN_SD = {
    ALL: np.array([0.175, 0.09, 0.117, 0.067, 0.17, 0.14, 0.27, 0.17, 0.21, 0.20, 0.0, 3.8, 4.3]),
    HEM: np.array([0.22, 0.110, 0.143, 0.083, 0.19, 0.145, 0.32, 0.20, 0.17, 0.20, 0.0, 3.8, 4.3]),
}
_SKEW = {ALL: -0.15, HEM: 0.22}  # of log_area within a subject: normal blood also holds a few large lymphocytes

# Correlations of the traits up to noise; the others stand alone.
_BETWEEN_CORRELATION = """
 1.00
 0.70  1.00
 0.65  0.96  1.00
 0.60  0.93  0.90  1.00
 0.49  0.72  0.75  0.63  1.00
-0.48 -0.63 -0.62 -0.58 -0.82  1.00
 0.64  0.80  0.78  0.76  0.70 -0.76  1.00
 0.67  0.88  0.84  0.84  0.56 -0.47  0.70  1.00
 0.14  0.30  0.23  0.44 -0.19  0.22  0.17  0.45  1.00
 0.22  0.37  0.41  0.37  0.40 -0.08  0.25  0.36  0.39  1.00
"""
_WITHIN_CORRELATION = """
 1.00
 0.41  1.00
 0.39  0.94  1.00
 0.36  0.87  0.88  1.00
 0.33  0.49  0.43  0.39  1.00
-0.18 -0.30 -0.23 -0.22 -0.77  1.00
 0.38  0.39  0.38  0.35  0.42 -0.41  1.00
 0.41  0.67  0.67  0.62  0.30 -0.25  0.44  1.00
 0.04  0.16  0.18  0.31 -0.31  0.19  0.11  0.55  1.00
 0.06  0.10  0.11  0.14  0.10  0.18  0.05  0.10  0.07  1.00
"""


def _root(lower_triangle: str) -> np.ndarray:
    """The Cholesky factor of the correlation matrix whose lower triangle is given, with the traits that stand alone."""
    correlation = np.eye(len(TRAITS))
    for row, line in enumerate(lower_triangle.split("\n")[1:-1]):
        correlation[row, : row + 1] = correlation[: row + 1, row] = [float(entry) for entry in line.split()]
    return np.linalg.cholesky(correlation)


_BETWEEN_ROOT = _root(_BETWEEN_CORRELATION)
_WITHIN_ROOT = _root(_WITHIN_CORRELATION)


@dataclass(frozen=True)
class Differences:
    """How far subjects of one class, and the classes' sizes and textures, lie apart; 1 is as measured in C-NMC.

    `texture` scales stain and chromatin, all that is neither size nor what clings to a cell.
    """

    subjects: float = 1.0
    size: float = 1.0
    texture: float = 1.0


def class_mean(label: int, differences: Differences) -> np.ndarray:
    """The mean traits of a class."""
    scale = np.full(len(TRAITS), differences.texture)
    scale[TRAITS.index("log_area")] = differences.size
    scale[TRAITS.index("raggedness")] = 1.0
    middle = (_MEAN[ALL] + _MEAN[HEM]) / 2
    mean: np.ndarray = middle + scale * (_MEAN[label] - middle)
    return mean


def subject_means(label: int, count: int, differences: Differences, rng: np.random.Generator) -> np.ndarray:
    """The mean traits of `count` subjects of one class, float64 [count, len(TRAITS)].

    Draws are stratified (a Latin hypercube), so a dozen subjects already span the spread and average to their class.
    """
    strata = np.stack([rng.permutation(count) for _ in TRAITS], axis=1)
    normal = ndtri((strata + 0.5) / count)
    if count > 1:
        normal /= normal[:, 0].std(ddof=1)
    return class_mean(label, differences) + differences.subjects * _BETWEEN_SD[label] * (normal @ _BETWEEN_ROOT.T)


def cell_traits(label: int, subject_mean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The traits of one cell of a subject, float64 [len(TRAITS)]."""
    normal = _WITHIN_ROOT @ rng.standard_normal(len(TRAITS))
    skew = _SKEW[label]
    normal[0] = (np.exp(skew * normal[0]) - np.exp(skew**2 / 2)) / skew
    return subject_mean + _WITHIN_SD[label] * normal
