"""A C-NMC-like folder of synthetic cells: the names, folds, label file and traps of the real one.

Planted as in C-NMC 2019: a normal subject whose name is lower case (h3), a patient of fold 0 some of whose images come
back byte for byte in another fold under another id (20 and 21), a number that names one person in each class (4, H4).
"""

from __future__ import annotations

import csv
import itertools
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path

import cv2
import numpy as np

from leukoscope.config.params import Synthetic
from leukoscope.core.errors import DataError
from leukoscope.core.files import new_folder
from leukoscope.core.progress import progress
from leukoscope.data.synthetic.drawing import draw_cell, place
from leukoscope.data.synthetic.traits import ALL, HEM, Differences, cell_traits, subject_means

ROOT = "C-NMC_Leukemia"
TRAINING = "training_data"
PRELIM = "validation_data/C-NMC_test_prelim_phase_data"
PRELIM_LABELS = "validation_data/C-NMC_test_prelim_phase_data_labels.csv"
FINAL = "testing_data/C-NMC_test_final_phase_data"
CLASS_NAME = {ALL: "all", HEM: "hem"}
FRAME, FINAL_FRAME = 450, 600
FOLDS = 3

REPEATED, REPEATING = "20", "21"  # one patient under two ids
_FIRST_NAMES = {ALL: ("4", REPEATED, "1", REPEATING), HEM: ("h3", "H4")}
_CELLS_PER_IMAGE = 3  # of a smear: the second and third number of a name
_COUNT_SPREAD = 0.7  # of the log of a subject's number of images


@dataclass(frozen=True)
class _Subject:
    name: str
    label: int
    means: np.ndarray
    images: int


@dataclass(frozen=True)
class _Picture:
    """One file to draw: everything that its bytes depend on, and where it goes."""

    file: str
    subject: _Subject
    seed: tuple[int, ...]
    frame: int

    def draw(self) -> np.ndarray:
        rng = np.random.default_rng(self.seed)
        traits = cell_traits(self.subject.label, self.subject.means, rng)
        return place(draw_cell(traits, self.subject.label, rng), self.frame, rng)


def draw_cells(settings: Synthetic, target: Path, *, workers: int | None = None) -> None:
    """Write the folder C-NMC_Leukemia with its three sets below `target`, replacing one that is there.

    Cells are 450x450 PNG (final set 600x600). The bytes depend on `settings` alone, not on `workers` (threads; one for
    each core by default). With fewer than four subjects with leukemia no patient has two ids; with fewer than three
    of a class there are only as many folds of it.
    """
    with new_folder(Path(target) / ROOT) as folder:
        training = _training_subjects(settings)
        folds = _folds(training)
        pictures, copies = _training_pictures(settings, training, folds)
        prelim, labels = _prelim_pictures(settings)
        pictures += prelim + _final_pictures(settings)
        for picture in pictures:
            (folder / picture.file).parent.mkdir(parents=True, exist_ok=True)
        for place_of_set in (PRELIM, FINAL):
            (folder / place_of_set).mkdir(parents=True, exist_ok=True)
        with ThreadPool(workers or os.cpu_count()) as pool, progress("draw", len(pictures), "cells") as advance:
            for _ in pool.imap_unordered(lambda picture: _write(folder, picture), pictures, chunksize=4):
                advance(1)
        for copy, original in copies:
            (folder / copy).parent.mkdir(parents=True, exist_ok=True)
            (folder / copy).write_bytes((folder / original).read_bytes())
        _write_labels(folder / PRELIM_LABELS, labels)


def fixed_cells(count: int, seed: int) -> np.ndarray:
    """Draw `count` cells in memory: uint8 [count, 450, 450, 3] RGB, the classes in turn, four subjects of each."""
    subjects = {
        label: _subjects(label, [str(number) for number in range(4)], (1,) * 4, Differences(), seed)
        for label in (ALL, HEM)
    }
    cells = np.zeros((count, FRAME, FRAME, 3), np.uint8)
    for index in range(count):
        subject = subjects[ALL if index % 2 == 0 else HEM][index // 2 % 4]
        cells[index] = _Picture("", subject, (seed, _code("fixed"), index), FRAME).draw()
    return cells


def _code(word: str) -> int:
    """A number for a seed that is the same in every process."""
    return zlib.crc32(word.encode())


def _differences(settings: Synthetic) -> Differences:
    return Differences(settings.subject_strength, settings.size_difference, settings.texture_difference)


def _subjects(
    label: int, names: list[str], images: tuple[int, ...], differences: Differences, seed: int
) -> list[_Subject]:
    rng = np.random.default_rng((seed, _code(f"subjects {names[0]}"), label))
    means = subject_means(label, len(names), differences, rng)
    return [_Subject(*values) for values in zip(names, [label] * len(names), means, images, strict=True)]


def _names(label: int, count: int, first: int) -> list[str]:
    """`count` unused subject names of a class: from number `first` on, after the names that plant the traps."""
    planted = _FIRST_NAMES[label] if first == 1 else ()
    taken = {name.lower() for name in planted}
    prefix = "H" if label == HEM else ""
    others = (f"{prefix}{number}" for number in itertools.count(first) if f"{prefix}{number}".lower() not in taken)
    return [*planted, *itertools.islice(others, count)][:count]


def _image_counts(subjects: int, mean: int, seed: tuple[int, ...]) -> tuple[int, ...]:
    """Unequal whole numbers, at least 1 and a quarter of `mean`, that sum to subjects * mean."""
    floor = max(1, mean // 4)
    share = np.random.default_rng(seed).lognormal(0, _COUNT_SPREAD, subjects)
    wanted = share / share.sum() * subjects * (mean - floor)
    counts = np.floor(wanted).astype(int)
    counts[np.argsort(counts - wanted, kind="stable")[: subjects * (mean - floor) - counts.sum()]] += 1
    return tuple(int(count) + floor for count in counts)


def _training_subjects(settings: Synthetic) -> list[_Subject]:
    subjects = []
    for label, count in ((ALL, settings.subjects_all), (HEM, settings.subjects_hem)):
        images = _image_counts(count, settings.images_per_subject, (settings.seed, _code("counts"), label))
        names = _names(label, count, first=1)
        subjects += _subjects(label, names, images, _differences(settings), settings.seed)
    return subjects


def _folds(subjects: list[_Subject]) -> dict[str, int]:
    """Each subject's fold: the largest first, to the fold that holds the fewest images of its class."""
    fold_of: dict[str, int] = {}
    for label in (ALL, HEM):
        own = [subject for subject in subjects if subject.label == label]
        held = [0] * min(FOLDS, len(own))
        names = {subject.name for subject in own}
        planted = {REPEATED: 0, REPEATING: len(held) - 1} if REPEATING in names else {}
        for subject in sorted(own, key=lambda subject: (subject.name not in planted, -subject.images)):
            fold = planted.get(subject.name, int(np.argmin(held)))
            fold_of[subject.name] = fold
            held[fold] += subject.images
    return fold_of


def _cell_name(subject: _Subject, index: int) -> str:
    image, cell = divmod(index, _CELLS_PER_IMAGE)
    return f"UID_{subject.name}_{image + 1}_{cell + 1}_{CLASS_NAME[subject.label]}.png"


def _training_pictures(
    settings: Synthetic, subjects: list[_Subject], folds: dict[str, int]
) -> tuple[list[_Picture], list[tuple[str, str]]]:
    """What to draw, and which files are to be copied afterwards as (copy, original)."""
    by_name = {subject.name: subject for subject in subjects}
    pictures: list[_Picture] = []
    copies: list[tuple[str, str]] = []
    for subject in subjects:
        drawn_from, repeated = subject, 0
        if subject.name == REPEATING and REPEATED in by_name:
            drawn_from = by_name[REPEATED]
            repeated = min((subject.images + 1) // 2, drawn_from.images)
        for index in range(subject.images):
            file = _training_file(subject, index, folds)
            if index < repeated:
                copies.append((file, _training_file(drawn_from, index, folds)))
            else:
                seed = (settings.seed, _code("train"), _code(subject.name), index)
                pictures.append(_Picture(file, drawn_from, seed, FRAME))
    return pictures, copies


def _training_file(subject: _Subject, index: int, folds: dict[str, int]) -> str:
    folder = f"{TRAINING}/fold_{folds[subject.name]}/{CLASS_NAME[subject.label]}"
    return f"{folder}/{_cell_name(subject, index)}"


def _new_subjects(settings: Synthetic, kind: str, count: int, images: int) -> Iterator[_Subject]:
    """Subjects of neither class's training data, the classes as equal as `count` allows."""
    first = 1 + max(57, settings.subjects_all + 4, settings.subjects_hem + 4, int(REPEATING))
    if kind == "final":
        first += settings.prelim_subjects
    for label, of_class in ((ALL, (count + 1) // 2), (HEM, count // 2)):
        counts = _image_counts(of_class, images, (settings.seed, _code(kind), label))
        yield from _subjects(label, _names(label, of_class, first), counts, _differences(settings), settings.seed)


def _shuffled(settings: Synthetic, kind: str, subjects: Iterator[_Subject]) -> list[tuple[_Subject, int]]:
    cells = [(subject, index) for subject in subjects for index in range(subject.images)]
    order = np.random.default_rng((settings.seed, _code(kind), _code("order"))).permutation(len(cells))
    return [cells[position] for position in order]


def _prelim_pictures(settings: Synthetic) -> tuple[list[_Picture], list[tuple[str, str, int]]]:
    """The preliminary set's pictures 1.png, 2.png, ... and the rows of its label file."""
    subjects = _new_subjects(settings, "prelim", settings.prelim_subjects, settings.prelim_images_per_subject)
    pictures, labels = [], []
    for number, (subject, index) in enumerate(_shuffled(settings, "prelim", subjects), start=1):
        seed = (settings.seed, _code("prelim"), _code(subject.name), index)
        pictures.append(_Picture(f"{PRELIM}/{number}.png", subject, seed, FRAME))
        labels.append((_cell_name(subject, index), f"{number}.png", subject.label))
    return pictures, labels


def _final_pictures(settings: Synthetic) -> list[_Picture]:
    """The final set's larger pictures, of subjects of its own, without labels."""
    per_subject = -(-settings.final_images // 8)
    subjects = _new_subjects(settings, "final", 8, max(per_subject, 1))
    cells = _shuffled(settings, "final", subjects)[: settings.final_images]
    return [
        _Picture(
            f"{FINAL}/{number}.png",
            subject,
            (settings.seed, _code("final"), _code(subject.name), index),
            FINAL_FRAME,
        )
        for number, (subject, index) in enumerate(cells, start=1)
    ]


def _write(folder: Path, picture: _Picture) -> None:
    written, png = cv2.imencode(".png", picture.draw()[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not written:
        raise DataError(f"{picture.file} could not be encoded as PNG")
    (folder / picture.file).write_bytes(png.tobytes())


def _write_labels(file: Path, labels: list[tuple[str, str, int]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("Patient_ID", "new_names", "labels"))
        writer.writerows(labels)
