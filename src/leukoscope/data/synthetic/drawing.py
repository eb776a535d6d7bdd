"""One stained white cell, drawn as a segmented crop of a blood smear: the cell on pure black.

A cell is a nucleus, an irregular outline filled with mottled chromatin under a brighter rim, to which pale cytoplasm,
shreds, platelets or a neighbour may cling, and from whose edge the segmentation may have bitten a piece. Everything is
drawn in a box about as large as the cell. Lengths are pixels at the microscope's native scale, colours grey levels in
RGB; the levels were fitted to C-NMC 2019 (see docs/synthetic-cells.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from leukoscope.data.synthetic.traits import ALL, HEM, TRAITS

MARGIN = 44  # how far a shred may reach beyond the nucleus
LARGEST = 205  # half a box at most, so that every box fits 450 pixels

# Chromatin: width of the noise in pixels, log gain, weight of the trait `fineness`, skewness towards bright spots.
_CHROMATIN = ((1.5, 1.14, 1.0, 0.1), (3.2, 0.38, 0.0, 0.4), (5.5, 1.58, 0.0, 0.4))
_HUE_WIDTH = 4.0  # of chromatin that is blue where it is not red
_HUE_MIX = ((1.0, 0.0), (0.93, 0.22), (0.75, 0.50))  # for red, green, blue: the share that follows red, the other
_SHADE_WIDTH, _SHADE_GAIN = 20.0, 0.08
_SHADE_MIX = np.array([1.0, 0.50, 0.62], np.float32)  # red, green, blue
_NOISE_GAIN = 0.20

# The rim, by distance from the edge: how much brighter than the nucleus, and over what length it fades.
_RIM_GAIN = np.array([30.0, 30.0, 25.0], np.float32)
_RIM_LENGTH = np.array([3.2, 3.7, 7.0], np.float32)

_CYTOPLASM_COLOUR = np.array([96, 61, 100], np.float32)
_PLATELET_COLOUR = np.array([74, 45, 104], np.float32)
_NEIGHBOUR_COLOUR = np.array([46, 20, 80], np.float32)

# What happens to a cell's edge, on average and at raggedness 0.
_BITES = 0.35
_STRAIGHT_CUT = 0.04


@dataclass(frozen=True)
class _Nucleus:
    """What is drawn first: its filled outline (uint8 0 or 1, [side, side]) and the outline's points in the box."""

    filled: np.ndarray
    points: np.ndarray


def draw_cell(traits: np.ndarray, label: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the cell that `traits` (see cell_traits.TRAITS) describe: uint8 [h, w, 3] RGB, cropped to the cell.

    The background is pure black and every pixel of the cell is not. The drawing depends on nothing but the arguments.
    """
    trait = dict(zip(TRAITS, traits, strict=True))
    ragged = float(np.exp(trait["raggedness"]))
    nucleus = _nucleus(float(np.exp(trait["log_area"])), ragged, rng)
    colours = _stained(nucleus, trait, label, rng)
    cell = nucleus.filled.copy()
    for appendage in _APPENDAGES:
        if rng.random() < min(appendage.share * ragged, 0.6):
            region = appendage.draw(nucleus, rng) & (1 - nucleus.filled)
            _tint(colours, region, appendage.colour * rng.normal(1, 0.1) * rng.normal(1, 0.04, 3))
            cell |= region
    for _ in range(min(rng.poisson(_BITES * ragged), 4)):
        _bite(cell, colours, rng)
    if rng.random() < _STRAIGHT_CUT:
        _cut_straight(cell, rng)
    return _finished(colours, _largest_piece(cell))


def place(cell: np.ndarray, frame: int, rng: np.random.Generator) -> np.ndarray:
    """Put a drawn cell into the middle of a black frame x frame picture, give or take a few pixels."""
    picture = np.zeros((frame, frame, 3), np.uint8)
    free = np.array([frame, frame]) - cell.shape[:2]
    row, column = np.clip(np.rint(free / 2 + rng.normal(0, 2.5, 2)), 0, free).astype(int)
    picture[row : row + cell.shape[0], column : column + cell.shape[1]] = cell
    return picture


def _nucleus(area: float, ragged: float, rng: np.random.Generator) -> _Nucleus:
    points = _outline(ragged, rng)
    x, y = points.T
    unit_area = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
    points *= np.sqrt(area / unit_area)
    reach = min(int(np.abs(points).max()) + MARGIN, LARGEST)
    points += reach
    filled = np.zeros((2 * reach + 1,) * 2, np.uint8)
    cv2.fillPoly(filled, [np.rint(points * 16).astype(np.int32)], 1, shift=4)
    filled[:2] = filled[-2:] = filled[:, :2] = filled[:, -2:] = 0
    return _Nucleus(filled, points)


def _outline(ragged: float, rng: np.random.Generator) -> np.ndarray:
    """A closed curve about the origin, float64 [360, 2]: an ellipse with lobes, dents and a slightly rough edge."""
    angle = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    radius = np.ones_like(angle)
    lobes, roughness = 0.024 * rng.lognormal(0, 0.5), 0.0032 * rng.lognormal(0, 0.4)
    for order in range(2, 25):
        size = lobes * (2 / order) ** 1.2 if order < 7 else roughness * (7 / order)
        radius += rng.normal(0, size) * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    for _ in range(rng.poisson(0.45 * min(ragged, 3) ** 0.5)):
        away = np.angle(np.exp(1j * (angle - rng.uniform(0, 2 * np.pi))))
        radius *= 1 - rng.gamma(2, 0.05) * np.exp(-0.5 * (away / rng.uniform(0.12, 0.45)) ** 2)
    stretch = np.exp(abs(rng.normal(0, 0.085)) * np.array([1, -1]))
    turn = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1) * stretch @ rotation
    return points - points.mean(axis=0)


def _noise(sigma: float, side: int, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of unit variance smoothed by `sigma` pixels, float32 [side, side]; drawn coarse, then enlarged."""
    step = max(1, int(sigma / 1.3))
    coarse = side // step + 3
    blur = sigma / step
    field = cv2.GaussianBlur(rng.standard_normal((coarse, coarse), np.float32), (0, 0), blur)
    field = field * np.float32(2 * np.sqrt(np.pi) * blur)
    if step == 1:
        return field[:side, :side]
    return cv2.resize(field, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)[:side, :side]


def _stained(nucleus: _Nucleus, trait: dict[str, float], label: int, rng: np.random.Generator) -> np.ndarray:
    """The colours of the whole box as if all of it were nucleus, float32 [side, side, 3]."""
    side = len(nucleus.filled)
    depth = cv2.distanceTransform(nucleus.filled, cv2.DIST_L2, 5)
    stain = np.exp([trait["log_red"], trait["log_green"], trait["log_blue"]]).astype(np.float32)
    mottle = np.exp([0, trait["mottle_green"], trait["mottle_blue"]]).astype(np.float32)
    chromatin = _chromatin(side, trait, rng)
    _add_nucleoli(chromatin, depth, label, rng)
    hue = _noise(_HUE_WIDTH, side, rng) * chromatin.std()
    colours = _rim(depth, trait, rng)
    colours += stain
    colours += _shade(depth, trait, label, rng)[..., None] * _SHADE_MIX
    for channel, (of_chromatin, of_hue) in enumerate(_HUE_MIX):
        colours[..., channel] += mottle[channel] * (of_chromatin * chromatin + of_hue * hue)
    colours += np.float32(np.exp(_NOISE_GAIN + trait["noise"])) * _camera_noise(side, rng)
    return colours


def _chromatin(side: int, trait: dict[str, float], rng: np.random.Generator) -> np.ndarray:
    """Mottled chromatin: smooth noise of three widths, skewed towards bright spots, in grey levels of red."""
    chromatin = np.zeros((side, side), np.float32)
    for width, gain, of_fineness, skew in _CHROMATIN:
        contrast = np.exp(gain + trait["grain"] + of_fineness * trait["fineness"])
        spots = np.exp(np.float32(skew) * _noise(width, side, rng)) - np.float32(np.exp(skew**2 / 2))
        chromatin += np.float32(contrast / skew) * spots
    return chromatin


def _add_nucleoli(grain: np.ndarray, depth: np.ndarray, label: int, rng: np.random.Generator) -> None:
    """Pale round spots with a darker ring, one to three in most blasts and seldom in others."""
    if rng.random() >= {ALL: 0.75, HEM: 0.10}[label]:
        return
    inner = np.argwhere(depth > 22)
    if len(inner) == 0:
        return
    for _ in range(rng.integers(1, 4)):
        row, column = inner[rng.integers(len(inner))]
        radius = rng.uniform(5, 9)
        reach = int(3 * radius)
        top, left = max(row - reach, 0), max(column - reach, 0)
        spot = grain[top : row + reach, left : column + reach]
        rows, columns = np.ogrid[top : top + spot.shape[0], left : left + spot.shape[1]]
        away = ((rows - row) ** 2 + (columns - column) ** 2) / radius**2
        spot += (rng.uniform(4, 11) * (1.25 - 0.5 * away) * np.exp(-0.5 * away)).astype(np.float32)


def _camera_noise(side: int, rng: np.random.Generator) -> np.ndarray:
    """Pixel noise of about unit contrast, partly the same in the three channels: float32 [side, side, 3]."""
    own = rng.standard_normal((side, side, 3), np.float32)
    common = rng.standard_normal((side, side, 1), np.float32)
    return cv2.GaussianBlur(own * np.float32(1.3) + common * np.float32(1.6), (3, 3), 0.6)


def _shade(depth: np.ndarray, trait: dict[str, float], label: int, rng: np.random.Generator) -> np.ndarray:
    """What changes slowly over a nucleus: clouds, a slope, a paler middle; grey levels of red."""
    side = len(depth)
    clouds = np.float32(np.exp(_SHADE_GAIN + trait["shade"])) * _noise(_SHADE_WIDTH, side, rng)
    slope = rng.normal(0, {ALL: 2.0, HEM: 4.6}[label], 2) / 60
    away = np.arange(side, dtype=np.float32) - side / 2
    slopes = slope[0] * away[:, None] + slope[1] * away
    middle = np.float32(rng.normal({ALL: 3.0, HEM: 7.0}[label], 3.0)) * (depth / depth.max() - 0.5)
    return (clouds + slopes + middle).astype(np.float32)


def _rim(depth: np.ndarray, trait: dict[str, float], rng: np.random.Generator) -> np.ndarray:
    """The brighter edge, bluish on one side and reddish on the other as the lens leaves it: float32 [side, side, 3]."""
    steps = np.arange(0, 64, 0.25, dtype=np.float32)
    fade = np.exp(-np.maximum(steps[:, None] - 2, 0) / _RIM_LENGTH) * _RIM_GAIN * np.float32(rng.lognormal(0, 0.12))
    index = np.minimum(depth * 4, 255).astype(np.uint8)
    rim = np.ascontiguousarray(fade)[index]
    away = (np.arange(len(depth), dtype=np.float32) - len(depth) / 2) / (len(depth) / 2 - MARGIN)
    lateral = (
        rim[..., 0]
        / _RIM_GAIN[0]
        * (np.float32(trait["fringe_down"]) * away[:, None] + np.float32(trait["fringe_right"]) * away)
    )
    rim[..., 0] += lateral
    rim[..., 2] -= lateral
    return rim


def _tint(colours: np.ndarray, region: np.ndarray, colour: np.ndarray) -> None:
    """Colour `region` with a soft seam towards the nucleus; some of the mottling shows through."""
    cover = np.maximum(cv2.GaussianBlur(region.astype(np.float32), (0, 0), 2.5), region)[..., None]
    mottling = 0.6 * (colours - cv2.blur(colours, (31, 31)))
    colours += cover * (colour.astype(np.float32) + mottling - colours)


def _cytoplasm(nucleus: _Nucleus, rng: np.random.Generator) -> np.ndarray:
    """A second, larger outline around the nucleus, often off centre: a halo or a crescent."""
    region = np.zeros_like(nucleus.filled)
    middle = nucleus.points.mean(axis=0)
    points = (nucleus.points - middle) * rng.uniform(0.99, 1.07) + middle + rng.normal(0, 5, 2)
    cv2.fillPoly(region, [np.rint(points * 16).astype(np.int32)], 1, shift=4)
    return _rounded(region)


def _shred(nucleus: _Nucleus, rng: np.random.Generator) -> np.ndarray:
    """Torn cytoplasm: one to three strands that wander outward from neighbouring points of the edge."""
    region = np.zeros_like(nucleus.filled)
    first = rng.integers(len(nucleus.points))
    for place_along in first + np.cumsum(rng.integers(4, 16, rng.integers(1, 4))):
        point = nucleus.points[place_along % len(nucleus.points)]
        outward = np.arctan2(*(point - nucleus.points.mean(axis=0))[::-1])
        heading, radius = outward + rng.normal(0, 0.9), rng.uniform(4, 14)
        region |= _strand(len(region), point, heading, radius, int(rng.integers(2, 9)), rng)
    return region


def _strand(
    side: int, point: np.ndarray, heading: float, radius: float, length: int, rng: np.random.Generator
) -> np.ndarray:
    """A wandering chain of `length` overlapping discs from `point` on, smoothed: uint8 [side, side]."""
    region = np.zeros((side, side), np.uint8)
    for _ in range(length):
        cv2.circle(region, np.rint(point).astype(int).tolist(), max(3, round(radius)), 1, -1)
        heading += rng.normal(0, 0.5)
        radius *= rng.uniform(0.55, 1.3)
        point = point + max(0.8 * radius, 4) * np.array([np.cos(heading), np.sin(heading)])
    return _rounded(region)


def _rounded(region: np.ndarray) -> np.ndarray:
    return (cv2.GaussianBlur(region.astype(np.float32), (0, 0), 2.5) > 0.5).astype(np.uint8)


def _disc(nucleus: _Nucleus, rng: np.random.Generator, smallest: float, largest: float) -> np.ndarray:
    """A round thing that touches the nucleus from outside and may be cut off by the box."""
    region = np.zeros_like(nucleus.filled)
    middle = nucleus.points.mean(axis=0)
    edge = nucleus.points[rng.integers(len(nucleus.points))]
    radius = rng.uniform(smallest, largest)
    centre = edge + (edge - middle) / np.linalg.norm(edge - middle) * radius * 0.8
    axes = np.rint([radius, radius * rng.uniform(0.7, 1)]).astype(int).tolist()
    cv2.ellipse(region, np.rint(centre).astype(int).tolist(), axes, rng.uniform(0, 180), 0, 360, 1, -1)
    return region


@dataclass(frozen=True)
class _Appendage:
    """Something that clings to a nucleus: its colour, how it is drawn, and the share of cells at raggedness 0."""

    colour: np.ndarray
    share: float
    draw: Callable[[_Nucleus, np.random.Generator], np.ndarray]


_APPENDAGES = (
    _Appendage(_CYTOPLASM_COLOUR, 0.13, _cytoplasm),
    _Appendage(_CYTOPLASM_COLOUR, 0.18, _shred),
    _Appendage(_CYTOPLASM_COLOUR, 0.09, _shred),
    _Appendage(_PLATELET_COLOUR, 0.06, lambda nucleus, rng: _disc(nucleus, rng, 6, 14)),
    _Appendage(_NEIGHBOUR_COLOUR, 0.015, lambda nucleus, rng: _disc(nucleus, rng, 25, 50)),
)


def _bite(cell: np.ndarray, colours: np.ndarray, rng: np.random.Generator) -> None:
    """Take a notch out of the edge where the segmentation missed a pale spot; what is left of the spot surrounds it."""
    edge = max(cv2.findContours(cell, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=len)[:, 0].astype(float)
    point = edge[rng.integers(len(edge))]
    inward = np.arctan2(*(edge.mean(axis=0) - point)[::-1])
    notch = _strand(len(cell), point, inward + rng.normal(0, 0.7), rng.uniform(4, 9), int(rng.integers(1, 4)), rng)
    paleness = rng.uniform(0, 0.6) * cv2.GaussianBlur(notch.astype(np.float32), (0, 0), 6)[..., None]
    colours += np.float32(paleness) * (_CYTOPLASM_COLOUR - colours)
    cell[notch > 0] = 0


def _cut_straight(cell: np.ndarray, rng: np.random.Generator) -> None:
    """Cut one side off along a row or a column, as where two segmentation windows met."""
    turns = int(rng.integers(4))
    turned = np.rot90(cell, turns)
    rows = np.flatnonzero(turned.any(axis=1))
    turned[: rows[0] + int(rng.uniform(0.02, 0.09) * len(rows))] = 0


def _largest_piece(cell: np.ndarray) -> np.ndarray:
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(cell, connectivity=4)
    if count <= 2:
        return cell
    return (pieces == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])).astype(np.uint8)


def _finished(colours: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Crop to the cell, darken its outermost pixels as a lens does, and make all else black."""
    left, top, width, height = cv2.boundingRect(cell)
    box = np.s_[top : top + height, left : left + width]
    light = cv2.GaussianBlur(cell.astype(np.float32), (0, 0), 0.8)[box] ** 2
    stained = np.clip(np.rint(colours[box] * light[..., None]), 1, 255)
    return (stained * cell[box][..., None]).astype(np.uint8)
