"""Unpacking archives of images: zip, and tar plain or compressed with gzip, bzip2 or xz.

An archive is a stranger's list of files to write. A member whose path is absolute or climbs out of the folder makes the
whole archive refused. Of the rest only images and CSV files are written, as plain new files: links, devices and other
kinds of entry never reach the disk, except that a tar's hard link to an earlier image of the same tar, which is how tar
stores equal files, is written as that image's bytes. What unpacks to far more than pictures ever do is refused unread.
"""

from __future__ import annotations

import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from leukoscope.core.errors import DataError
from leukoscope.core.paths import leads_outside
from leukoscope.core.progress import progress
from leukoscope.data.sources.names import IMAGE_SUFFIXES, is_hidden, name_fault

_WANTED = IMAGE_SUFFIXES | {".csv"}
_BUFFER = 1 << 20
_MEGABYTE, _GIGABYTE = 10**6, 10**9
_MOST_GROWTH = 100  # times an archive's own size: pictures of cells unpack to 10 times theirs, a bomb to 1,000
_HARMLESS = 100 * _MEGABYTE  # unpacked, however small the archive
_BY_HAND = "unpack it by hand and name the folder (in params.yaml with fetch.source: folder)"
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    NotImplementedError,
    EOFError,
    ValueError,  # with the three below, what tarfile's reading of sparse files and long headers meets
    OverflowError,
    IndexError,
    KeyError,
    zlib.error,
    lzma.LZMAError,
)


def unpack(archive: Path, folder: Path, shown: str) -> None:
    """Write the images and CSV files of `archive`, which messages call `shown`, below the new folder `folder`.

    Raises DataError if the archive is none, is damaged, truncated or encrypted, names a path outside the folder, holds
    two files of one name that differ, or holds more bytes than the disk has free or than its size can mean honestly.
    """
    folder.mkdir(parents=True)
    try:
        with archive.open("rb") as stream:
            is_zip = stream.read(2) == b"PK"
            stream.seek(0)
            (_unpack_zip if is_zip else _unpack_tar)(stream, folder, shown)
    except OSError as error:
        if error.errno is None:  # how gzip and bz2 report bytes that are not theirs
            raise DataError(_damaged(shown, error)) from None
        raise DataError(f"{shown} cannot be unpacked: {_inside(error.filename, folder)}{error.strerror}") from None
    except _DAMAGE as error:
        raise DataError(_damaged(shown, error)) from None


def _inside(named: str | None, folder: Path) -> str:
    """What an error names, as the archive's member where it is one."""
    if named is None:
        return ""
    path = Path(named)
    return f"{path.relative_to(folder) if path.is_relative_to(folder) else path}: "


def _damaged(shown: str, error: Exception | str) -> str:
    reason = "unknown format" if "could not be opened" in str(error) else error  # tarfile lists all it tried
    return f"{shown} is not a whole zip or tar archive ({reason}); fetch it again, or name another"


def _unpack_zip(stream: IO[bytes], folder: Path, shown: str) -> None:
    with zipfile.ZipFile(stream) as zipped:
        named = [(info, _wanted(info.filename, shown)) for info in zipped.infolist()]
        members = [(info, path) for info, path in named if path and _is_plain(info)]
        if any(info.flag_bits & 0x1 for info, _ in members):
            raise DataError(f"{shown} is encrypted: {_BY_HAND}")
        needed = sum(info.file_size for info, _ in members)
        _check_space(needed, folder, shown)
        _check_growth(needed, os.fstat(stream.fileno()).st_size, shown)
        with progress("unpack", len(members), "files") as advance:
            for info, path in members:
                with zipped.open(info) as source:
                    _write(source, folder / path, shown)
                advance(1)


def _is_plain(info: zipfile.ZipInfo) -> bool:
    """True for a regular file; archives made on Windows keep no Unix mode, which reads as 0."""
    return not info.is_dir() and stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)


def _unpack_tar(stream: IO[bytes], folder: Path, shown: str) -> None:
    size = os.fstat(stream.fileno()).st_size
    done = unpacked = 0
    with tarfile.open(fileobj=stream, mode="r:*") as tar, progress("unpack", size // _MEGABYTE, "MB") as advance:
        for member in tar:
            path = _wanted(member.name, shown)
            unpacked += member.size  # of any member: what is not wanted is decompressed too, to be passed over
            _check_space(member.size if path else 0, folder, shown)
            _check_growth(unpacked, size, shown)
            if path and (member.isreg() or member.islnk()):
                _write_member(tar, member, folder, folder / path, shown)
            megabytes = stream.tell() // _MEGABYTE
            advance(megabytes - done)
            done = megabytes
        _check_end(tar, shown)


def _write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, target: Path, shown: str) -> None:
    if member.isreg():
        source = tar.extractfile(member)
    else:
        earlier = _wanted(member.linkname, shown)
        if earlier is None or not (folder / earlier).is_file():
            raise DataError(_damaged(shown, f"{member.name} repeats {member.linkname}, which is not in it"))
        source = (folder / earlier).open("rb")
    assert source is not None  # tarfile has content for every regular member
    with source:
        _write(source, target, shown)


def _check_end(tar: tarfile.TarFile, shown: str) -> None:
    """Raise DataError unless the archive ends as tars do; tarfile takes a header that is cut off for the end."""
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise DataError(_damaged(shown, "unexpected end of data"))


def _wanted(name: str, shown: str) -> PurePosixPath | None:
    """Where a member goes, or None if it is no image or CSV. Raises DataError for a path outside the folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    if leads_outside(name):
        raise DataError(f"{shown} is not safe to unpack: its member {name!r} points outside the folder")
    if path.suffix.lower() not in _WANTED or any(is_hidden(part) for part in path.parts):
        return None
    if fault := name_fault(name):
        raise DataError(f"{shown} is refused: of its member {os.fsencode(name)!r}, {fault} and pack it again")
    return path


def _check_growth(unpacked: int, packed: int, shown: str) -> None:
    if unpacked > max(_HARMLESS, _MOST_GROWTH * packed):
        raise DataError(
            f"{shown} would unpack to more than {_MOST_GROWTH} times its own size ({unpacked / _GIGABYTE:.1f} GB), "
            f"which pictures do not: if you trust it, {_BY_HAND}"
        )


def _check_space(needed: int, folder: Path, shown: str) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        sizes = f"{needed / _GIGABYTE:.1f} GB unpacked, but {folder.parent} has {free / _GIGABYTE:.1f} GB free"
        raise DataError(f"{shown} needs {sizes}")


def _write(source: IO[bytes], target: Path, shown: str) -> None:
    if target.exists():
        _check_same(source, target, shown)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(source, file, _BUFFER)


def _check_same(source: IO[bytes], target: Path, shown: str) -> None:
    with target.open("rb") as first:
        while True:
            ours, theirs = first.read(_BUFFER), source.read(_BUFFER)
            if ours != theirs:
                raise DataError(
                    f"{shown} holds {target.name} twice in one folder, with different bytes: keep one of them"
                )
            if not ours:
                return
