"""Which images a folder holds, and what each one is.

Three kinds of folder are understood, whatever lies around them:

- C-NMC 2019 in any copy, found by its file names (`names`), with the preliminary labels (a CSV with the columns
  Patient_ID, new_names, labels) anywhere below;
- images of one's own as `<class>/<subject>/<image>`;
- images of one's own named by a CSV with the columns file, label, subject.

Every image that gets a label of 1 or 0 has it from its name, its folder or a CSV, and a contradiction is an error.
"""

from __future__ import annotations

import filecmp
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from leukoscope.config.params import Fetch
from leukoscope.core import checkout
from leukoscope.core.errors import DataError
from leukoscope.data.sources import label_files
from leukoscope.data.sources.names import CLASSES, IMAGE_SUFFIXES, is_hidden, name_fault, parse_path

LOOKED_FOR = (
    "C-NMC names (UID_*_all, UID_H*_hem; numbers below *prelim* and *final* folders), "
    "<class>/<subject>/<image>, or a CSV named by fetch.labels"
)


_LEADING_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")


class Image(NamedTuple):
    """One image: its path below the root (posix), where its bytes are, and a row of data/raw/index.csv."""

    file: str
    source: Path
    image_id: str
    set: str
    fold: int | None
    label: int | None
    subject: str | None


@dataclass(frozen=True)
class ImageSet:
    """The images of a folder, sorted by file; `ignored` others were passed over, `repeated` were second copies.

    `unmatched` rows of preliminary labels name no image.
    """

    images: tuple[Image, ...]
    classes: dict[int, str]
    cnmc: bool
    ignored: int = 0
    repeated: int = 0
    unmatched: int = 0
    prelim_labels: Path | None = None


class Tree(NamedTuple):
    """The visible images and CSV files below a folder, as sorted posix paths."""

    images: list[str]
    tables: list[str]


def find_images(root: Path, settings: Fetch, shown: str) -> ImageSet:
    """Find and label the images below `root`, which messages call `shown`.

    Raises DataError if there are none, if names, folders and labels disagree, if the training images are of one class
    only, or if two subjects' ids are so alike that they may be one person's.
    """
    tree = scan(root)
    if not tree.images:
        raise DataError(f"{shown} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}); looked for {LOOKED_FOR}")
    table = _labels_file(root, settings, shown)
    if table is not None and label_files.is_listing(table):
        found = _listed_images(root, tree, table, settings)
    else:
        found = _cnmc_images(root, tree, table, settings, shown) or _foldered_images(root, tree, settings, shown)
    _check_both_classes(found, shown)
    _check_subjects(found, shown)
    return found


def scan(root: Path) -> Tree:
    """List images and CSV files below `root`. Links are followed; hidden entries and __MACOSX are left out.

    Raises DataError for a folder that cannot be read, a name that is not UTF-8, and an image that is a broken link.
    """
    tree = Tree([], [])
    start = os.path.realpath(root)
    pending, seen = [("", start)], {start}
    while pending:
        prefix, folder = pending.pop()
        for entry in _visible_entries(folder):
            if _is(entry, "dir"):
                path = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
                if path not in seen:  # a link may lead back up
                    seen.add(path)
                    pending.append((f"{prefix}{entry.name}/", path))
                continue
            suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - a tenth of a Path's time
            if suffix in IMAGE_SUFFIXES and _is(entry, "file"):
                tree.images.append(prefix + entry.name)
            elif suffix in IMAGE_SUFFIXES and entry.is_symlink():
                raise DataError(f"{entry.path} is a link that leads to no file: mend it or take it out")
            elif suffix == ".csv" and _is(entry, "file"):
                tree.tables.append(prefix + entry.name)
    tree.images.sort()
    tree.tables.sort()
    return tree


def _is(entry: os.DirEntry[str] | Path, kind: str) -> bool:
    """Whether it is a "dir" or a "file", also through links; a link that leads to itself is neither.

    Nor is what a table names by words that are too long for a name.
    """
    try:
        return entry.is_dir() if kind == "dir" else entry.is_file()
    except OSError:
        return False


def _visible_entries(folder: str) -> list[os.DirEntry[str]]:
    """The entries of a folder in the order of their names, so that a file reached twice has one path everywhere."""
    try:
        with os.scandir(folder) as entries:
            visible = sorted((entry for entry in entries if not is_hidden(entry.name)), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}") from None
    for entry in visible:
        if fault := name_fault(entry.name):
            raise DataError(f"{folder} holds {os.fsencode(entry.name)!r}: {fault}")
    return visible


def _labels_file(root: Path, settings: Fetch, shown: str) -> Path | None:
    if settings.labels is None:
        return None
    for folder in (checkout.root(), root):
        if (path := folder / settings.labels.expanduser()).is_file():
            return path
    raise DataError(f"fetch.labels: {settings.labels} is neither here nor in {shown}")


def _cnmc_images(root: Path, tree: Tree, table: Path | None, settings: Fetch, shown: str) -> ImageSet | None:
    tables = [table] if table else [root / name for name in tree.tables]
    tables = [path for path in tables if label_files.is_prelim(path)]
    labels = label_files.read_prelim(tables)
    images = []
    for file in tree.images:
        name = parse_path(file, root.name)
        if name is None:
            continue
        if name.image_id in labels:
            subject, label = labels[name.image_id]
            name = replace(name, subject=subject, label=label)
        images.append(Image(file, root / file, name.image_id, name.set, name.fold, name.label, name.subject))
    if not images:
        return None
    if settings.positive.lower() != "all":
        raise DataError(f"fetch.positive is {settings.positive}, but {shown} holds C-NMC, whose positive class is all")
    kept = _first_copies(images, shown)
    return ImageSet(
        tuple(kept),
        CLASSES,
        cnmc=True,
        ignored=len(tree.images) - len(images),
        repeated=len(images) - len(kept),
        unmatched=len(labels.keys() - {image.image_id for image in kept}),
        prelim_labels=tables[0] if tables else None,
    )


def _first_copies(images: Sequence[Image], shown: str) -> list[Image]:
    """One image for each C-NMC name: trees are often unpacked twice, and then the copies' bytes are the same."""
    first: dict[str, Image] = {}
    for image in images:
        kept = first.setdefault(image.image_id, image)
        if kept is not image and not filecmp.cmp(kept.source, image.source, shallow=False):
            raise DataError(f"{shown} holds {image.image_id} twice with different bytes: {kept.file} and {image.file}")
    return list(first.values())


def _foldered_images(root: Path, tree: Tree, settings: Fetch, shown: str) -> ImageSet:
    """Read `<class>/<subject>/<image>`; the classes are where a folder is called like `fetch.positive`."""
    positive = settings.positive.lower()
    paths = [PurePosixPath(file).parts for file in tree.images]
    places = [parts[:depth] for parts in paths for depth, name in enumerate(parts[:-1]) if name.lower() == positive]
    if not places:
        raise DataError(f"{shown} has no folder {settings.positive!r} (fetch.positive); looked for {LOOKED_FOR}")
    above = min(places, key=len)
    depth = len(above)
    inside = [parts for parts in paths if parts[:depth] == above and len(parts) > depth + 1]
    classes = _two_classes([parts[depth] for parts in inside], settings.positive, shown)
    images = []
    for parts in inside:
        file = "/".join(parts)
        if len(parts) < depth + 3:
            raise DataError(f"{shown}: {file} has no subject; put it in <class>/<subject>/ or use fetch.labels")
        label = int(parts[depth].lower() == positive)
        # Folders of both classes may number their people from 1: the class keeps them apart.
        images.append(_own_image(root, file, label, f"{classes[label]}/{parts[depth + 1]}"))
    return ImageSet(_with_path_ids(images), classes, cnmc=False, ignored=len(paths) - len(images))


def _listed_images(root: Path, tree: Tree, table: Path, settings: Fetch) -> ImageSet:
    """Read the images that a CSV names, by paths below the root or beside the CSV; a subject in it is one person."""
    rows = label_files.read_listing(table)
    classes = _two_classes([row.label for row in rows], settings.positive, table.name)
    present = set(tree.images)
    images, missing = [], []
    for row in rows:
        base = root if row.file in present else table.parent
        if row.file not in present and not _is(base / row.file, "file"):
            missing.append(row.file)
            continue
        if PurePosixPath(row.file).suffix.lower() not in IMAGE_SUFFIXES:
            raise DataError(f"{table.name} lists {row.file}, which is not one of {', '.join(sorted(IMAGE_SUFFIXES))}")
        images.append(_own_image(base, row.file, int(row.label.lower() == settings.positive.lower()), row.subject))
    if missing:
        raise DataError(f"{table.name} lists {len(missing)} images that are not there, such as {missing[0]}")
    images.sort(key=lambda image: image.file)
    ignored = len(present - {image.file for image in images})
    return ImageSet(_with_path_ids(images), classes, cnmc=False, ignored=ignored)


def _own_image(root: Path, file: str, label: int, subject: str) -> Image:
    return Image(file, root / file, str(PurePosixPath(file).with_suffix("")), "train", None, label, subject)


def _with_path_ids(images: Sequence[Image]) -> tuple[Image, ...]:
    """Where files differ in their extension alone, the extension joins the id: a/1.png becomes a/1-png."""
    count = Counter(image.image_id for image in images)
    return tuple(
        image
        if count[image.image_id] == 1
        else image._replace(image_id=f"{image.image_id}-{PurePosixPath(image.file).suffix[1:]}")
        for image in images
    )


def _two_classes(names: Sequence[str], positive: str, shown: str) -> dict[int, str]:
    """The classes' names as first spelled, 1 for `positive`; case is ignored. Raises DataError unless there are two."""
    spelled: dict[str, str] = {}
    for name in names:
        spelled.setdefault(name.lower(), name)
    if positive.lower() not in spelled or len(spelled) != 2:
        raise DataError(
            f"{shown}: need two classes, one of them fetch.positive ({positive}); found {', '.join(spelled.values())}"
        )
    negative = next(name for key, name in spelled.items() if key != positive.lower())
    return {1: spelled[positive.lower()], 0: negative}


def _check_both_classes(found: ImageSet, shown: str) -> None:
    labels = {image.label for image in found.images if image.set == "train"}
    if not labels:
        held = ", ".join(sorted({image.set for image in found.images}))
        raise DataError(f"{shown} holds no training images, only the sets {held}; nothing can be trained on these")
    if labels != {0, 1}:
        only = " and ".join(found.classes[label] for label in labels if label is not None)
        raise DataError(f"{shown} holds training images of one class only ({only}); a classifier needs both")


def _check_subjects(found: ImageSet, shown: str) -> None:
    """One person under two ids would stand on both sides of a split that is meant to keep people apart."""
    alike: dict[str, str] = {}
    for subject in sorted({image.subject for image in found.images if image.subject is not None}):
        first = alike.setdefault(_LEADING_ZEROS.sub("", subject.casefold()), subject)
        if first != subject:
            raise DataError(
                f"{shown}: the subjects {first!r} and {subject!r} differ by case or leading zeros alone: give one "
                f"person one id, or two people ids that differ by more"
            )
