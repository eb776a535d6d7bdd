"""Stage fetch: the images of any source into data/raw, where the rest of the pipeline finds them.

data/raw/images/ holds the images' untouched bytes under their paths in the source, index.csv says what each one is, and
source.json where they are from. The source itself is only read.
"""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from leukoscope.config.params import Fetch
from leukoscope.core import checkout
from leukoscope.core.errors import ConfigError, DataError
from leukoscope.core.files import new_folder, write_json
from leukoscope.data.sources import catalogue
from leukoscope.data.sources.archives import unpack
from leukoscope.data.sources.layouts import Image, ImageSet, find_images
from leukoscope.data.sources.linking import link_files, move_files
from leukoscope.data.sources.names import SETS

INDEX_COLUMNS = ("file", "image_id", "set", "fold", "label", "subject")
KAGGLE_DATASET = "andrewmvd/leukemia-classification"
_BY_HAND = (
    f"download the archive from https://www.kaggle.com/datasets/{KAGGLE_DATASET} in a browser and set "
    "fetch.source: archive and fetch.path: <the archive>"
)


class Opened(NamedTuple):
    """A folder of images, and what messages call it."""

    root: Path
    shown: str


@dataclass(frozen=True)
class FetchSummary:
    """What a fetch brought: images by (set, class name or 'unlabelled'), and what it passed over."""

    name: str
    source: str
    images: int
    counts: dict[tuple[str, str], int]
    ignored: int
    repeated: int
    unmatched: int
    cnmc_complete: bool
    verified: catalogue.Verification | None

    def __str__(self) -> str:
        """A line or two for the terminal."""
        parts = [f"{set_} {number} {of}" for (set_, of), number in self.counts.items()]
        lines = [f"{self.name}: {self.images} images ({', '.join(parts)})"]
        if self.cnmc_complete:
            lines.append("every image of C-NMC 2019 is there")
        if self.verified:
            lines.append(
                f"{self.verified.matched} images have C-NMC 2019's SHA-256, {self.verified.unknown} are not in its list"
            )
        if self.ignored:
            lines.append(f"{self.ignored} other images were passed over: nothing says what they are")
        if self.repeated:
            lines.append(f"{self.repeated} second copies were passed over")
        if self.unmatched:
            lines.append(f"{self.unmatched} rows of the preliminary labels name no image that is there")
        return "\n".join(lines)


def fetch(settings: Fetch, target: Path = checkout.RAW) -> FetchSummary:
    """Fill `target` from the source that `settings` names, replacing it as a whole.

    Images of a folder are linked where the file system can, those of an archive are unpacked into place. Raises
    DataError if the source is missing, damaged, unsafe, contradictory, of one class only, or, with `settings.verify`,
    differs from C-NMC 2019's list; then `target` stays as it was.
    """
    if settings.verify and settings.source == "synthetic":
        raise ConfigError(
            "fetch.verify compares with C-NMC 2019; synthetic cells are not in it: set fetch.verify: false"
        )
    with new_folder(target) as folder, _unreadable_named():
        scratch = folder / "unpacked"
        root, shown = _SOURCES[settings.source](settings, scratch)
        _check_apart(root, scratch, target, shown)
        found = find_images(root, settings, shown)
        verified = _verify(found) if settings.verify else None
        _place(found.images, scratch, folder / checkout.IMAGE_FILES.name)
        if scratch.exists():
            shutil.rmtree(scratch)
        _write_index(found.images, folder / checkout.INDEX.name)
        summary = _summary(settings, found, verified)
        write_json(folder / checkout.SOURCE.name, _source_json(settings, found, summary))
    return summary


@contextmanager
def _unreadable_named() -> Iterator[None]:
    """Turn an image or a table that the system does not give, or that vanished meanwhile, into DataError."""
    try:
        yield
    except (PermissionError, FileNotFoundError) as error:
        gone = isinstance(error, FileNotFoundError)
        to_do = "it went while it was fetched: run it again" if gone else "give this user the right to, or take it out"
        raise DataError(
            f"{error.filename} cannot be read ({(error.strerror or '').lower()}): {to_do}; nothing was fetched"
        ) from None


def _synthetic(settings: Fetch, scratch: Path) -> Opened:
    from leukoscope.data.synthetic.cells import draw_cells

    draw_cells(settings.synthetic, scratch)
    return Opened(scratch, "the synthetic set")


def _folder(settings: Fetch, scratch: Path) -> Opened:
    path = _user_path(settings)
    if not path.is_dir():
        raise DataError(f"fetch.path: {settings.path} is a file; if it is an archive, set fetch.source: archive")
    return Opened(path, str(settings.path))


def _archive(settings: Fetch, scratch: Path) -> Opened:
    path = _user_path(settings)
    if path.is_dir():
        raise DataError(f"fetch.path: {settings.path} is a folder; set fetch.source: folder")
    unpack(path, scratch, str(settings.path))
    return Opened(scratch, str(settings.path))


def _kaggle(settings: Fetch, scratch: Path) -> Opened:
    import kagglehub
    from kagglehub import exceptions

    refusals = (exceptions.UnauthenticatedError, exceptions.CredentialError, exceptions.NotFoundError)
    damage = (exceptions.BackendError, exceptions.DataCorruptionError)
    try:
        path = kagglehub.dataset_download(KAGGLE_DATASET)
    except (OSError, *refusals, *damage) as error:  # requests' errors, of the network or HTTP, are OSErrors
        raise DataError(f"Kaggle did not answer with the images ({type(error).__name__}): {_BY_HAND}") from error
    return Opened(Path(path), f"Kaggle's {KAGGLE_DATASET}")


_SOURCES: dict[str, Callable[[Fetch, Path], Opened]] = {
    "synthetic": _synthetic,
    "folder": _folder,
    "archive": _archive,
    "kaggle": _kaggle,
}


def _user_path(settings: Fetch) -> Path:
    """`fetch.path`, from the checkout's root if relative: experiments run in a copy that has no data of the user's."""
    assert settings.path is not None  # config refuses a folder or archive without one
    path = checkout.root() / settings.path.expanduser()
    if not path.exists():
        raise DataError(f"fetch.path: {settings.path} does not exist")
    if not (path.is_file() or path.is_dir()):  # a pipe would be waited for, a device may never end
        raise DataError(f"fetch.path: {settings.path} is neither a file nor a folder")
    return path


def _check_apart(root: Path, scratch: Path, target: Path, shown: str) -> None:
    """Raise DataError if replacing `target` would touch the source."""
    source, raw = root.resolve(), target.resolve()
    if root != scratch and (source.is_relative_to(raw) or raw.is_relative_to(source)):
        raise DataError(f"fetch.path: {shown} and {target} lie inside each other; move the images elsewhere")


def _verify(found: ImageSet) -> catalogue.Verification:
    return catalogue.verify([(image.image_id, image.source) for image in found.images], found.prelim_labels)


def _place(images: tuple[Image, ...], scratch: Path, folder: Path) -> None:
    """Move what this run unpacked or drew, link everything else."""
    pairs = [(image.source, folder / image.file) for image in images]
    ours = [pair for pair in pairs if pair[0].is_relative_to(scratch)]
    theirs = [pair for pair in pairs if not pair[0].is_relative_to(scratch)]
    move_files(ours)
    if theirs:
        link_files(theirs)


def _write_index(images: tuple[Image, ...], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(INDEX_COLUMNS)
        writer.writerows([getattr(image, column) for column in INDEX_COLUMNS] for image in images)


def _summary(settings: Fetch, found: ImageSet, verified: catalogue.Verification | None) -> FetchSummary:
    kinds = Counter(
        (image.set, "unlabelled" if image.label is None else found.classes[image.label]) for image in found.images
    )
    return FetchSummary(
        name=settings.name,
        source=settings.source,
        images=len(found.images),
        counts={kind: kinds[kind] for kind in sorted(kinds, key=lambda kind: (SETS.index(kind[0]), kind[1]))},
        ignored=found.ignored,
        repeated=found.repeated,
        unmatched=found.unmatched,
        cnmc_complete=found.cnmc and catalogue.is_complete([image.image_id for image in found.images]),
        verified=verified,
    )


def _source_json(settings: Fetch, found: ImageSet, summary: FetchSummary) -> dict:
    return {
        "name": settings.name,
        "source": settings.source,
        "kind": "synthetic" if settings.source == "synthetic" else "real",
        "classes": {str(label): name for label, name in found.classes.items()},
        "cnmc_complete": summary.cnmc_complete,
        "verified": None if summary.verified is None else asdict(summary.verified),
    }
