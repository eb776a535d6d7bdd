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

from leukoscope.core.errors import DataError, one_line
from leukoscope.data.sources.archives import unpack
from leukoscope.data.sources.names import IMAGE_SUFFIXES, is_hidden
from leukoscope.imaging.reading import read_bytes

ARCHIVE_SUFFIXES = frozenset({".zip", ".tar", ".tgz", ".gz", ".tbz2", ".bz2", ".txz", ".xz"})


@dataclass(frozen=True)
class ImageFile:
    """A file that can be read now, and the name that is shown: its path, or its place in an archive (a.zip/b/1.png)."""

    path: Path
    name: str

    def read(self) -> bytes:
        """The file's bytes. Raises DataError as `read_bytes` does."""
        return read_bytes(self.path)


@contextmanager
def images_below(paths: Iterable[Path]) -> Iterator[list[ImageFile]]:
    """The images that `paths` name, in order and once. What archives hold is there until the context ends.

    Raises DataError for a path that is not there, for a folder that may not be read, for an archive that is not safe or
    not whole, and when there is no image at all.
    """
    paths = list(paths)
    found: dict[Path, str] = {}
    with ExitStack() as unpacked:
        for path in paths:
            if path.is_dir():
                found |= {file: shown(file) for file in images_in(path) if file not in found}
            elif not path.exists():
                raise DataError(f"{path} is not there")
            elif _is_archive(path):
                scratch = unpacked.enter_context(TemporaryDirectory(prefix="leukoscope-"))
                folder = Path(scratch) / "unpacked"
                unpack(path, folder, str(path))
                found |= {file: shown(path / file.relative_to(folder)) for file in images_in(folder)}
            elif path not in found:
                found[path] = shown(path)
        if not found:
            raise DataError(f"no image ({', '.join(sorted(IMAGE_SUFFIXES))}) below {', '.join(map(str, paths))}")
        yield [ImageFile(path, name) for path, name in found.items()]


def shown(path: Path) -> str:
    """The path as text that any file and terminal takes.

    Bytes that are no UTF-8, and what a terminal would act upon, become escapes such as \\xe9 and \\x1b.
    """
    return one_line(os.fsencode(path).decode("utf-8", "backslashreplace"))


def images_in(folder: Path, suffixes: frozenset[str] = IMAGE_SUFFIXES) -> list[Path]:
    """The files below a folder whose names end in one of `suffixes`, sorted, without hidden ones.

    Raises DataError for a folder that may not be read.
    """
    found: list[Path] = []
    for place, inside, names in os.walk(folder, onerror=_cannot_be_read):  # links to folders are not followed
        inside[:] = [name for name in inside if not is_hidden(name)]
        files = (Path(place, name) for name in names if not is_hidden(name))
        found += [file for file in files if file.suffix.lower() in suffixes and file.is_file()]
    return sorted(found)


def _cannot_be_read(error: OSError) -> None:
    raise DataError(f"{error.filename}: {(error.strerror or 'unreadable').lower()}") from None


def _is_archive(path: Path) -> bool:
    """By its name, so that a damaged one is called that, and else by its content, whatever it is called."""
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES or not path.is_file():  # a pipe would be waited for
        return False
    try:
        return suffix in ARCHIVE_SUFFIXES or zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    except OSError:
        return False
