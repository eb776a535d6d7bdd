"""A stand-in for the complete C-NMC 2019: small pictures of no real cell under all 15,114 real names.

It has the real set's folders, names, folds, subjects and byte-identical pairs, so what depends on those can be tested
at full scale without the images.
"""

from __future__ import annotations

import csv
import struct
from hashlib import sha256
from pathlib import Path

import numpy as np

from leukoscope.data.catalogue import TABLE_I, load_catalogue

PRELIM_LABELS = "C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data_labels.csv"
_GRID = 9  # knots of a picture's texture on each axis: coarse enough to survive resizing, as fine as a perceptual hash
_HARMONICS = (2, 3, 4)


def write_standin(folder: Path, *, size: int = 32) -> list[str]:
    """Write the set below `folder` in Kaggle's layout as `size` x `size` BMP files; return the images' paths.

    Every picture is a textured blob on black, drawn from its original's SHA-256: the 106 pairs of byte-identical
    originals are byte-identical here, and no two others look alike. The preliminary labels are made up, in the official
    format and with Table I's numbers of images and subjects.
    """
    catalogue = load_catalogue()
    for parent in {Path(path).parent for path in catalogue["path"]}:
        (folder / parent).mkdir(parents=True, exist_ok=True)
    header = bmp_header(size)
    for start in range(0, len(catalogue), 1024):
        part = catalogue.iloc[start : start + 1024]
        for path, picture in zip(part["path"], draw(list(part["sha256"]), size), strict=True):
            (folder / path).write_bytes(header + picture.tobytes())
    write_prelim_labels(folder / PRELIM_LABELS)
    return list(catalogue["path"])


def picture_bytes(name: str, size: int = 16) -> bytes:
    """A small BMP file of a blob of its own: no other name has the same."""
    return bmp_header(size) + draw([sha256(name.encode()).hexdigest()], size)[0].tobytes()


def draw(digests: list[str], size: int) -> np.ndarray:
    """One blob for each SHA-256, uint8 [n, size, size, 3]; `size` is a multiple of 4, as BMP rows need."""
    draws = np.stack([np.random.default_rng(int(digest[:16], 16)).random(_GRID**2 + 10) for digest in digests])
    texture, shape, colour = draws[:, : _GRID**2], draws[:, -10:-3], draws[:, -3:]
    axis = np.linspace(0, _GRID - 1, size)
    between = np.maximum(0, 1 - np.abs(axis[:, None] - np.arange(_GRID)))  # linear interpolation of the knots
    field = between @ texture.reshape(-1, _GRID, _GRID) @ between.T
    stained = (50 + 205 * field[..., None]) * (0.5 + 0.5 * colour[:, None, None, :])
    return np.where(_inside(shape, size)[..., None], stained, 0).astype(np.uint8)


def _inside(shape: np.ndarray, size: int) -> np.ndarray:
    """Where a blob is, bool [n, size, size]: a radius that varies with the angle, so the blob is in one piece."""
    offset = (np.arange(size) - (size - 1) / 2) / (size / 2)
    y, x = np.meshgrid(offset, offset, indexing="ij")
    distance, angle = np.hypot(x, y), np.arctan2(y, x)
    base, *waves = np.moveaxis(shape, -1, 0)[..., None, None]
    radius = 0.6 + 0.2 * base
    for harmonic, phase, strength in zip(_HARMONICS, waves[::2], waves[1::2], strict=True):
        radius = radius + 0.06 * strength * np.cos(harmonic * angle + 2 * np.pi * phase)
    return distance < radius


def bmp_header(size: int) -> bytes:
    """The 54 bytes before the pixels of an uncompressed 24-bit BMP of `size` x `size`."""
    pixels = 3 * size * size
    return struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 54 + pixels, 0, 0, 54, 40, size, size, 1, 24, 0, pixels, 0, 0, 0, 0)


def write_prelim_labels(path: Path) -> None:
    """Write made-up preliminary labels with Table I's counts; their subjects (101..., H101...) are not in training."""
    counts = TABLE_I["prelim"]
    sick = [f"UID_{101 + image % counts.subjects_all}_{image + 1}_1_all.bmp" for image in range(counts.images_all)]
    healthy = [f"UID_H{101 + image % counts.subjects_hem}_{image + 1}_1_hem.bmp" for image in range(counts.images_hem)]
    rows = [(name, 1) for name in sick] + [(name, 0) for name in healthy]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["Patient_ID", "new_names", "labels"])
        table.writerows((name, f"{number}.bmp", label) for number, (name, label) in enumerate(rows, start=1))
