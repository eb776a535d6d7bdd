"""What slides and cameras change of a cell beside its geometry: how much stain it took, and its finest detail.

Everything stays inside the cell, as `imaging.cell` finds it: the black background stays black. Grey levels are rounded
and clipped to 0 to 255, and a pixel that would become background is left as it was, so that a cell keeps its outline.

- Stain: the optical densities of the two stains of a Romanowsky-type smear, azure (an oxidised methylene blue) and
  eosin, each times a scale and plus a shift. Ruifrok and Johnston's vectors for Giemsa tell them apart (2001;
  scikit-image has them as `bex_from_rgb`); what neither explains stays.
- Grain: gains of the two finest of a stack of band-pass layers: the picture less its blur by a Gaussian of deviation 1
  pixel, and that blur less the one of deviation 2, which see nothing beyond the cell's rim.
- Noise: independent Gaussian grey levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from leukoscope.imaging.cell import background

if TYPE_CHECKING:
    from leukoscope.imaging.draws import Draw


WHITE = 256.0  # the grey level of no stain, one above the brightest, as all are counted from 1: black is no infinity
AZURE_AND_EOSIN = np.array([[0.834750233, 0.513556283, 0.196330403], [0.092789, 0.954111, 0.283111]])
FINE, COARSE = 1.0, 2.0  # deviations of the bands' Gaussians, in pixels
SMALLEST_WEIGHT = np.float32(1e-3)  # a pixel inside the cell has 0.04 in its own blur
_DENSITY = -np.log((np.arange(256) + 1) / WHITE).astype(np.float32)


def change_appearance(picture: np.ndarray, parameters: Draw) -> None:
    """Restain, regrain and add noise to the cell of a uint8 picture [height, width, 3] on black, in place."""
    if not (parameters.restains or parameters.regrains or parameters.noise):
        return
    inside = cv2.bitwise_not(background(picture))
    x, y, width, height = cv2.boundingRect(inside)
    if not width:
        return
    box = slice(y, y + height), slice(x, x + width)
    cell, mask = picture[box], inside[box]
    values = _restained(cell, parameters) if parameters.restains else cell.astype(np.float32)
    if parameters.regrains:
        values = _regrained(values, mask, parameters)
    if parameters.noise:
        grey_levels = np.random.default_rng(parameters.noise_seed).standard_normal(values.shape, np.float32)
        values = values + np.float32(parameters.noise) * grey_levels
    changed = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    mask = cv2.bitwise_and(mask, cv2.bitwise_not(background(changed)))
    cv2.copyTo(changed, mask, cell)


def _restained(cell: np.ndarray, parameters: Draw) -> np.ndarray:
    """Grey levels float32 [h, w, 3] after each stain's density, along its vector, was scaled and shifted."""
    scales = np.array([parameters.azure_scale, parameters.eosin_scale, 1.0])
    shifts = np.array([parameters.azure_shift, parameters.eosin_shift, 0.0])
    stains = _stain_vectors()
    change = np.linalg.inv(stains) @ np.diag(scales) @ stains  # of densities [..., 3] as rows
    matrix = np.hstack([change.T, (shifts @ stains)[:, None]])
    densities = cv2.transform(cv2.LUT(cell, _DENSITY), matrix)
    return np.asarray(cv2.exp(-densities)) * np.float32(WHITE) - np.float32(1)


def _stain_vectors() -> np.ndarray:
    """The two stains' unit vectors of density in R, G, B, and what is at right angles to both, as rows."""
    stains = AZURE_AND_EOSIN / np.linalg.norm(AZURE_AND_EOSIN, axis=1, keepdims=True)
    beyond = np.cross(*stains)
    return np.vstack([stains, beyond / np.linalg.norm(beyond)])


def _regrained(values: np.ndarray, mask: np.ndarray, parameters: Draw) -> np.ndarray:
    """Grey levels [h, w, 3] whose two finest bands have the gains of R, G, B."""
    inside = mask.astype(np.float32) / np.float32(255)
    # What a pixel's neighbours inside the cell weigh; beyond the rim, where nothing is asked for, it may be nothing.
    weights = [np.maximum(_blurred(inside, deviation), SMALLEST_WEIGHT) for deviation in (FINE, COARSE)]
    fine = (parameters.fine_red, parameters.fine_green, parameters.fine_blue)
    coarse = (parameters.coarse_red, parameters.coarse_green, parameters.coarse_blue)
    regrained = []
    for channel, of_fine, of_coarse in zip(cv2.split(values), fine, coarse, strict=True):
        held = channel * inside
        smooth, smoother = (
            _blurred(held, deviation) / weight for deviation, weight in zip((FINE, COARSE), weights, strict=True)
        )
        regrained.append((channel - smooth) * of_fine + (smooth - smoother) * of_coarse + smoother)
    return cv2.merge(regrained)


def _blurred(channel: np.ndarray, deviation: float) -> np.ndarray:
    """A Gaussian's sums over [h, w], which is black beyond its edges."""
    return cv2.GaussianBlur(channel, (0, 0), deviation, borderType=cv2.BORDER_CONSTANT)
