"""The complete list of C-NMC 2019's images, and what a copy is held against.

cnmc_2019.csv.gz has one row for each of the 15,114 images: path (in the Kaggle layout), set, fold, label and subject
(of the training images: the preliminary labels come with the data, the final ones are not public), bytes and SHA-256.
The images are Gupta & Gupta, "ALL Challenge dataset of ISBI 2019", The Cancer Imaging Archive,
https://doi.org/10.7937/tcia.2019.dc64i46r, CC BY 3.0; the list holds facts about them and none of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pandas as pd

from leukoscope.core.errors import DataError
from leukoscope.core.files import sha256_of
from leukoscope.core.progress import progress
from leukoscope.data.sources.names import IMAGE_SUFFIXES, parse_path

PRELIM_LABELS_SHA256 = "3f5d770a51017f242db857e178de5341f294e38fff82c266a1a8d292c9fc3d0d"


@dataclass(frozen=True)
class SetCounts:
    """A row of the paper's Table I: distinct subjects and images of each class."""

    subjects_all: int
    subjects_hem: int
    images_all: int
    images_hem: int

    @property
    def images(self) -> int:
        """Images of both classes."""
        return self.images_all + self.images_hem


TABLE_I = {
    "train": SetCounts(47, 26, 7272, 3389),
    "prelim": SetCounts(13, 15, 1219, 648),
    "final": SetCounts(9, 8, 1761, 825),  # as published; which image is which is not
}


def load_catalogue() -> pd.DataFrame:
    """The 15,114 images: image_id, path, set, fold (Int8), label (Int8), subject, bytes, sha256.

    Fold, label and subject are null outside the training set. Equal SHA-256 marks the 106 byte-identical pairs.
    """
    with (files("leukoscope.data.sources") / "cnmc_2019.csv.gz").open("rb") as file:
        catalogue = pd.read_csv(
            file, compression="gzip", dtype={"fold": "Int8", "label": "Int8", "subject": "str", "bytes": "int64"}
        )
    names = [parse_path(path) for path in catalogue["path"]]
    catalogue.insert(0, "image_id", [name.image_id if name else None for name in names])
    return catalogue


def is_complete(image_ids: Sequence[str]) -> bool:
    """True if these are exactly the complete set's images, by name."""
    listed = load_catalogue()["image_id"]
    return len(image_ids) == len(listed) and set(image_ids) == set(listed)


@dataclass(frozen=True)
class Verification:
    """How many files have the listed SHA-256, how many names the list does not know, and which files differ."""

    matched: int
    unknown: int
    mismatched: tuple[str, ...]


def verify(
    images: Sequence[tuple[str, Path]], labels_file: Path | None = None, catalogue: pd.DataFrame | None = None
) -> Verification:
    """Compare the bytes of (image_id, file) pairs, and of the preliminary labels, with those that `catalogue` lists.

    By default that is the complete set's. Files are hashed on all cores. Raises DataError that names the first files
    that differ: those are damaged, edited, or saved in another format.
    """
    catalogue = load_catalogue() if catalogue is None else catalogue
    listed = dict(zip(catalogue["image_id"], zip(catalogue["bytes"], catalogue["sha256"], strict=True), strict=True))
    known = [(image_id, file) for image_id, file in images if image_id in listed]
    with progress("verify", len(known), "images") as advance:
        agree = _in_parallel(lambda pair: _has_bytes(pair[1], *listed[pair[0]]), known, advance)
    wrong = [file for (_, file), right in zip(known, agree, strict=True) if not right]
    if labels_file is not None and sha256_of(labels_file) != PRELIM_LABELS_SHA256:
        wrong.append(labels_file)
    if wrong:
        raise DataError(_mismatch(wrong, len(known) + (labels_file is not None)))
    return Verification(matched=len(known), unknown=len(images) - len(known), mismatched=())


def _has_bytes(file: Path, size: int, digest: str) -> bool:
    return file.stat().st_size == size and sha256_of(file) == digest


def _in_parallel(check: Callable, items: Sequence, advance: Callable[[int], None]) -> list[bool]:
    answers = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for answer in pool.map(check, items):
            answers.append(answer)
            advance(1)
    return answers


def _mismatch(wrong: Sequence[Path], compared: int) -> str:
    shown = ", ".join(file.name for file in wrong[:3]) + (", ..." if len(wrong) > 3 else "")
    if any(file.suffix.lower() in IMAGE_SUFFIXES - {".bmp"} for file in wrong):
        advice = "re-encoded images (PNG, JPEG) cannot be verified; set fetch.verify: false"
    else:
        advice = "fetch these again, or set fetch.verify: false to use them as they are"
    return f"{len(wrong)} of {compared} files differ from C-NMC 2019's SHA-256 list: {shown}; {advice}"
