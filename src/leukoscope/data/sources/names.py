"""What the path of a C-NMC 2019 image says: its set, fold, label and subject.

Copies of the data set differ in their folders, so only two things count: the file's own name and the nearest folder
that names a set, a fold or a class. Training images carry everything in their name (`UID_<subject>_<image>_<cell>_all`,
`UID_H<subject>_..._hem`); images of the two test phases are numbers, told apart by their folder.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from leukoscope.core.errors import DataError

IMAGE_SUFFIXES = frozenset({".bmp", ".png", ".jpg", ".jpeg", ".tif", ".tiff"})
SETS = ("train", "prelim", "final")
CLASSES = {1: "ALL", 0: "hem"}
LABELS = {"all": 1, "hem": 0}

_UID = re.compile(r"UID_(?P<subject>H?\d+)_\d+_\d+_(?P<label>all|hem)", re.IGNORECASE)
_NUMBER = re.compile(r"\d+")
_FOLD = re.compile(r"fold[ _-]?([0-2])", re.IGNORECASE)
_SET_FOLDERS = {
    "train": re.compile(r"(?<![a-z])train", re.IGNORECASE),
    "prelim": re.compile(r"(?<![a-z])prelim|validation_data", re.IGNORECASE),
    "final": re.compile(r"(?<![a-z])final(?![a-z])|testing_data", re.IGNORECASE),
}


@dataclass(frozen=True, slots=True)
class CnmcName:
    """What a path says; None where it says nothing. `subject` keeps the H of healthy ones: 4 and H4 are two people."""

    image_id: str
    set: str
    fold: int | None = None
    label: int | None = None
    subject: str | None = None


def is_hidden(name: str) -> bool:
    """True for what file managers and macOS leave behind: dot files, ._ forks, __MACOSX."""
    return name.startswith(".") or name == "__MACOSX"


def name_fault(name: str) -> str | None:
    """Why a file of this name is not used: its bytes are no UTF-8, or it holds what a terminal would act upon."""
    if any("\ud800" <= character <= "\udfff" for character in name):  # how Python keeps bytes that are no UTF-8
        return "its name is not UTF-8: rename it"
    if any(unicodedata.category(character) == "Cc" for character in name):
        return "its name holds a control character: rename it"
    return None


def parse_uid(stem: str) -> tuple[str, int] | None:
    """Subject and label of a name such as UID_H4_1_2_hem, or None if it is not one.

    Subject h3, the one that C-NMC writes in lower case, becomes H3. Raises DataError where an H and the class disagree.
    """
    match = _UID.fullmatch(stem)
    if match is None:
        return None
    subject, label = match["subject"].upper(), LABELS[match["label"].lower()]
    if subject.startswith("H") == (label == 1):
        raise DataError(f"{stem}: in C-NMC a subject with an H is healthy (hem), one without has leukemia (all)")
    return subject, label


def parse_path(file: str, root: str = "") -> CnmcName | None:
    """Read the path of one image, relative to a folder called `root`; None if its name is not C-NMC's.

    A number counts only inside a folder of a test phase. The root's own name may be a fold's, or a test phase's that
    holds its images directly. Raises DataError if a name contradicts its class folder.
    """
    path = PurePosixPath(file)
    folders = path.parts[:-1][::-1]
    uid = parse_uid(path.stem)
    set_ = _nearest_set(folders or (root,))
    if uid is None:
        if set_ not in ("prelim", "final") or not _NUMBER.fullmatch(path.stem):
            return None
        return CnmcName(f"{set_}-{int(path.stem)}", set_)
    subject, label = uid
    folder_label = next((LABELS[name.lower()] for name in folders if name.lower() in LABELS), label)
    if folder_label != label:
        raise DataError(f"{file}: the name says {CLASSES[label]}, the folder {CLASSES[folder_label]}; mend one of them")
    set_ = set_ or "train"
    return CnmcName(path.stem, set_, _nearest_fold((*folders, root)) if set_ == "train" else None, label, subject)


def _nearest_set(folders: Iterable[str]) -> str | None:
    return next((name for folder in folders for name, pattern in _SET_FOLDERS.items() if pattern.search(folder)), None)


def _nearest_fold(folders: Iterable[str]) -> int | None:
    return next((int(match[1]) for folder in folders if (match := _FOLD.fullmatch(folder))), None)
