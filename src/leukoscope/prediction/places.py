"""Pictures and scores wherever fsspec reaches: paths of this machine, s3://bucket/folder, gs://bucket/folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from leukoscope.core.errors import DataError, one_line
from leukoscope.core.files import new_file
from leukoscope.data.sources.archives import unpack
from leukoscope.data.sources.names import IMAGE_SUFFIXES, is_hidden
from leukoscope.imaging.reading import MAX_BYTES, read_bytes
from leukoscope.prediction.sources import images_in, shown

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


PACKED_SUFFIXES = frozenset({".tar", ".tgz", ".zip"})  # of archives


@dataclass(frozen=True)
class Stored:
    """An image or an archive at `url`: the `name` that is shown, and a `state` that changes where its bytes do."""

    url: str
    name: str
    state: str

    @property
    def is_archive(self) -> bool:
        """By its name: what lies elsewhere is not opened to tell."""
        return PurePosixPath(self.url).suffix.lower() in PACKED_SUFFIXES

    def read(self) -> bytes:
        """The file's bytes. Raises DataError if it cannot be read, or is larger than any picture may be."""
        if is_here(self.url):
            return read_bytes(Path(self.url))
        with reached(self.url) as (system, path):
            data: bytes = system.cat_file(path, start=0, end=MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise DataError(f"{self.name}: more than {MAX_BYTES // 1_000_000} MB, which no picture of a cell needs")
        return data


def is_here(url: str) -> bool:
    """Whether it is a path of this machine."""
    return "://" not in url


def from_anywhere(url: str) -> str:
    """The same place whatever the working directory is."""
    return str(Path(url).absolute()) if is_here(url) else url


@contextmanager
def reached(url: str) -> Iterator[tuple[AbstractFileSystem, str]]:
    """The file system of a URL and the path there. Raises DataError for what it cannot do with it."""
    import fsspec

    try:
        yield fsspec.core.url_to_fs(url)
    except DataError:
        raise
    except Exception as error:  # every store has errors of its own: of its client, its network, its credentials
        reason = one_line(str(error) or type(error).__name__)
        raise DataError(f"{one_line(url)}: {reason}") from error


def stored_below(urls: Sequence[str]) -> list[Stored]:
    """The images and archives that paths and URLs name, with all below folders, in order and once.

    Raises DataError for what is not there, and when there is no image or archive at all.
    """
    found = {one.url: one for url in urls for one in (_here(Path(url)) if is_here(url) else _elsewhere(url))}
    if not found:
        raise DataError(f"no image or archive below {', '.join(urls)}")
    return list(found.values())


def _here(path: Path) -> list[Stored]:
    if not path.exists():
        raise DataError(f"{path} is not there")
    return [_file(file) for file in (images_in(path, IMAGE_SUFFIXES | PACKED_SUFFIXES) if path.is_dir() else [path])]


def _file(path: Path) -> Stored:
    about = path.stat()
    return Stored(from_anywhere(str(path)), shown(path), f"{about.st_size} {about.st_mtime_ns}")


def _elsewhere(url: str) -> list[Stored]:
    with reached(url) as (system, root):
        if not system.exists(root):
            raise DataError(f"{url} is not there")
        found = system.find(root, detail=True)
    wanted = IMAGE_SUFFIXES | PACKED_SUFFIXES
    return [
        Stored(system.unstrip_protocol(path), one_line(system.unstrip_protocol(path)), _state(about))
        for path, about in sorted(found.items())
        if PurePosixPath(path).suffix.lower() in wanted
        and not any(map(is_hidden, PurePosixPath(path.removeprefix(root)).parts))
    ]


def _state(about: dict[str, object]) -> str:
    """The size, and whatever else the store says of when or what it holds."""
    return " ".join(str(about.get(name, "")) for name in ("size", "ETag", "etag", "md5Hash", "LastModified", "created"))


@contextmanager
def unpacked(archive: Stored) -> Iterator[list[Stored]]:
    """The images of an archive, there until the context ends. Raises DataError as `unpack` does."""
    with tempfile.TemporaryDirectory(prefix="leukoscope-") as scratch:
        copy, folder = Path(scratch) / PurePosixPath(archive.url).name, Path(scratch) / "unpacked"
        with reached(archive.url) as (system, path):
            system.get_file(path, str(copy))
        unpack(copy, folder, archive.name)
        files = images_in(folder, IMAGE_SUFFIXES)
        yield [Stored(str(file), f"{archive.name}/{shown(file.relative_to(folder))}", "") for file in files]


def names_in(folder: str) -> set[str]:
    """The names of the files that lie in a folder; none where there is no such folder."""
    with reached(folder) as (system, root):
        return {PurePosixPath(path).name for path in system.ls(root, detail=False)} if system.exists(root) else set()


def put(data: bytes, folder: str, name: str) -> None:
    """Write a file that is whole or not there, whatever ends this process: an object store knows no other."""
    if is_here(folder):
        with new_file(Path(folder) / name) as part:
            part.write_bytes(data)
        return
    with reached(folder) as (system, root):
        system.pipe_file(f"{root}/{name}", data)
