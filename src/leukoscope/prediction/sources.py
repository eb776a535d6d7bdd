"""The images that paths name: files as they are, folders with everything below them, and what archives hold."""

from __future__ import annotations

import os
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from leukoscope.data.archives import unpack
from leukoscope.data.layouts import scan
from leukoscope.data.names import IMAGE_SUFFIXES, name_fault
from leukoscope.errors import DataError

ARCHIVE_SUFFIXES = frozenset({".zip", ".tar", ".tgz", ".gz", ".tbz2", ".bz2", ".txz", ".xz"})


@dataclass(frozen=True)
class ImageFile:
    """A file that can be read now, and the name that is shown: its path, or its place in an archive (a.zip/b/1.png)."""

    path: Path
    name: str


def images_below(paths: Iterable[Path]) -> list[Path]:
    """The images that `paths` name: files as they are, folders with everything below them, in order and once.

    Raises DataError for a path that is not there, a folder that cannot be read, a name that no table can hold, and when
    there is no image at all.
    """
    paths = list(paths)
    found = dict.fromkeys(file for path in paths for file in _images_of(path))
    if not found:
        raise _no_image(paths)
    return list(found)


@contextmanager
def opened_images(paths: Iterable[Path]) -> Iterator[list[ImageFile]]:
    """The same, with the images in archives, which are there until the context ends.

    Raises DataError for an archive that is not safe or not whole, too.
    """
    paths = list(paths)
    found: dict[Path, str] = {}
    with ExitStack() as unpacked:
        for path in paths:
            if _is_archive(path):
                scratch = unpacked.enter_context(TemporaryDirectory(prefix="leukoscope-"))
                folder = Path(scratch) / "unpacked"
                unpack(path, folder, str(path))
                found |= {file: str(path / file.relative_to(folder)) for file in _images_of(folder)}
            else:
                found |= {file: str(file) for file in _images_of(path)}
        if not found:
            raise _no_image(paths)
        yield [ImageFile(path, name) for path, name in found.items()]


def _images_of(path: Path) -> list[Path]:
    if path.is_dir():
        return [path / name for name in scan(path).images]
    if fault := name_fault(str(path)):
        raise DataError(f"{os.fsencode(path)!r}: {fault}")
    if not path.exists():
        raise DataError(f"{path} is not there")
    return [path]


def _no_image(paths: Iterable[Path]) -> DataError:
    return DataError(f"no image ({', '.join(sorted(IMAGE_SUFFIXES))}) below {', '.join(map(str, paths))}")


def _is_archive(path: Path) -> bool:
    """By its name, so that a damaged one is called that, and else by its content, whatever it is called."""
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES or not path.is_file():
        return False
    try:
        return suffix in ARCHIVE_SUFFIXES or zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    except OSError:
        return False
