"""How alike two pictures of cells are: candidates by perceptual hash, then the proof by pixels.

All cells are blobs on black, so shape and background prove nothing. What identifies a cell is its chromatin: after an
affine alignment, details of 2 to 10 pixels (at native scale) either coincide or do not. Their local contrast is made
even first, or else the edge of a crescent of cytoplasm outweighs all the chromatin.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from leukoscope.imaging.cell import HASH_SIDE, Cell

TURNS = 8
"""The mirrors and quarter turns of a square: transposed from 4 on, then mirrored left to right (odd numbers), then
upside down (2, 3, 6, 7). Turn 0 changes nothing."""

HASH_DISTANCE = 10  # of 63 bits; re-encoding (JPEG 90), resizing to 80 % and half pixels of shift change 9 at most
PORTRAIT_CORRELATION = 0.7  # of two 32 x 32 portraits, before alignment
_SIDE = 64
_DETAIL = (0.7, 3.5)  # sigmas of the band of detail, in pixels of the 64 x 64 picture
_NOISE_POWER = 0.3  # squared grey levels: what is flatter than this is noise
_RIM = 2  # pixels of the 64 x 64 picture that are left out inside the outline, which segmentation moves about
_ECC_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)
_ECC_BLUR = 3
_BLOCK = 256


class Candidates(NamedTuple):
    """Pairs of positions that may show one cell: picture `first` under turn `turn` resembles picture `second`."""

    first: np.ndarray
    second: np.ndarray
    turn: np.ndarray


class Likeness(NamedTuple):
    """How alike two cells are once aligned.

    `correlation` (-1..1) is that of the fine detail, `distance` the mean absolute difference in grey levels over
    R, G, B, both over the cells' common interior. `scale` is the second box's size as a multiple of the first's,
    `side` the shortest side of the two boxes in pixels.
    """

    correlation: float
    distance: float
    scale: float
    side: int


UNLIKE = Likeness(0.0, float("inf"), 1.0, 0)


def turned(picture: np.ndarray, turn: int) -> np.ndarray:
    """The picture [h, w, ...] under one of the eight turns."""
    out = picture.swapaxes(0, 1) if turn >= 4 else picture
    if turn % 2:
        out = out[:, ::-1]
    if turn % 4 >= 2:
        out = out[::-1]
    return np.ascontiguousarray(out)


def turned_hashes(hashes: Sequence[str]) -> np.ndarray:
    """The hashes that the pictures would have under each turn, uint64 [8, n]; [0] is that of the pictures as they are.

    Mirroring negates the cosines with an odd number of half waves, transposing swaps the axes.
    """
    words = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(-1, HASH_SIDE)
    bits = np.unpackbits(words, axis=1).reshape(-1, HASH_SIDE, HASH_SIDE)
    odd = np.arange(HASH_SIDE, dtype=np.uint8) % 2
    variants = []
    for turn in range(TURNS):
        bent = bits.swapaxes(1, 2) if turn >= 4 else bits
        if turn % 2:
            bent = bent ^ odd
        if turn % 4 >= 2:
            bent = bent ^ odd[:, None]
        variants.append(np.packbits(bent.reshape(-1, HASH_SIDE**2), axis=1).view(np.uint64)[:, 0])
    return np.stack(variants)


def candidates(hashes: Sequence[str], portraits: np.ndarray) -> Candidates:
    """Pairs first < second whose hashes and portraits (int8 [n, 32, 32]) agree under some turn, sorted.

    All pairs of hashes are compared, in blocks: 15,114 images take seconds.
    """
    variants = turned_hashes(hashes)
    found = [_alike(block, portraits) for block in _near_hashes(variants)]
    first, second, turn = (np.concatenate([*parts, np.zeros(0, int)]) for parts in zip(*found, strict=True))
    order = np.lexsort((turn, second, first))
    return Candidates(first[order], second[order], turn[order])


def _near_hashes(variants: np.ndarray) -> Iterator[Candidates]:
    plain = variants[0]
    for start in range(0, len(plain), _BLOCK):
        others = plain[start:]
        for turn in range(TURNS):
            differing = np.bitwise_count(variants[turn, start : start + _BLOCK, None] ^ others[None, :])
            first, second = np.nonzero(differing <= HASH_DISTANCE)
            later = second > first
            first, second = first[later] + start, second[later] + start
            yield Candidates(first, second, np.full(len(first), turn))


def _alike(pairs: Candidates, portraits: np.ndarray) -> Candidates:
    """Those of the pairs (all under one turn) whose portraits correlate."""
    kept = [np.zeros(0, bool)]
    for start in range(0, len(pairs.first), 4 * _BLOCK):
        some = slice(start, start + 4 * _BLOCK)
        turn = int(pairs.turn[0])
        first = _normalised(np.stack([turned(portraits[i], turn) for i in pairs.first[some]]))
        second = _normalised(portraits[pairs.second[some]])
        kept.append(np.einsum("ij,ij->i", first, second) >= PORTRAIT_CORRELATION)
    keep = np.concatenate(kept)
    return Candidates(pairs.first[keep], pairs.second[keep], pairs.turn[keep])


def _normalised(portraits: np.ndarray) -> np.ndarray:
    """Rows of mean 0 and length 1; a cell without texture gives zeros, which resemble nothing."""
    rows = portraits.reshape(len(portraits), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, np.inf)


def compare(first: Cell, second: Cell, turn: int) -> Likeness:
    """Align the turned `first` cell with `second`, and say how alike they are; the better of aligned and not counts."""
    pixels, inside = _square(first)
    fixed, fixed_inside = _square(second)
    pixels, inside = turned(pixels, turn), turned(inside, turn)
    interior = cv2.erode(cv2.min(inside, fixed_inside), np.ones((3, 3), np.uint8), iterations=_RIM, borderValue=0)
    if not cv2.countNonZero(interior):
        return UNLIKE
    versions = [pixels, *_aligned(pixels, fixed, interior)]
    within = interior > 0
    correlation = max(_correlation(_detail(version), _detail(fixed), within) for version in versions)
    distance = min(float(cv2.absdiff(version, fixed)[within].mean()) for version in versions)
    return Likeness(correlation, distance, _scale(first, second, turn), min(*first.mask.shape, *second.mask.shape))


def _square(cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """The cell's box as float32 [64, 64, 3] with the cell's mean colour around it, and uint8 1 where all is cell."""
    filled = np.where(cell.mask[..., None] > 0, cell.pixels.astype(np.float32), np.asarray(cell.colour, np.float32))
    size = (_SIDE, _SIDE)
    inside = cv2.resize(cell.mask, size, interpolation=cv2.INTER_AREA) >= 253
    return cv2.resize(filled, size, interpolation=cv2.INTER_AREA), inside.astype(np.uint8)


def _aligned(pixels: np.ndarray, fixed: np.ndarray, interior: np.ndarray) -> list[np.ndarray]:
    """`pixels` warped onto `fixed`; nothing if no alignment is found, as between cells that differ."""
    start = np.eye(2, 3, dtype=np.float32)
    grey, fixed_grey = pixels.mean(axis=2), fixed.mean(axis=2)
    try:
        _, warp = cv2.findTransformECC(fixed_grey, grey, start, cv2.MOTION_AFFINE, _ECC_STEPS, interior, _ECC_BLUR)
    except cv2.error:
        return []
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return [cv2.warpAffine(pixels, warp, (_SIDE, _SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)]


def _detail(pixels: np.ndarray) -> np.ndarray:
    """The grey picture's fine detail, divided by its local standard deviation."""
    grey = pixels.mean(axis=2)
    fine, coarse = (cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in _DETAIL)
    detail = fine - coarse
    power = cv2.GaussianBlur(detail * detail, (0, 0), _DETAIL[1])
    return detail / np.sqrt(power + _NOISE_POWER)


def _correlation(first: np.ndarray, second: np.ndarray, within: np.ndarray) -> float:
    x, y = first[within] - first[within].mean(), second[within] - second[within].mean()
    power = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float((x * y).sum()) / power if power > 0 else 0.0


def _scale(first: Cell, second: Cell, turn: int) -> float:
    """The geometric mean of the boxes' ratios of width and of height."""
    sides = np.array(first.mask.shape if turn < 4 else first.mask.shape[::-1], float)
    return float(np.sqrt(np.prod(np.array(second.mask.shape) / sides)))
