"""Files: outputs that are either whole or not there, locks, and the hash of a file.

An output is written next to its place and then renamed. The leftovers of a killed process are removed when the same
output is written again.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from leukoscope.core.errors import DataError, LeukoscopeError, disk_is_full
from leukoscope.core.processes import is_alive

NO_ROOM = 1 << 16  # bytes: less is left only where something has just filled the disk


def _beside(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{target.name}.*.part"):
        pid = left.name.split(".")[-2]
        if pid.isdigit() and not is_alive(int(pid)):
            _remove(left)
    return target.with_name(f".{target.name}.{os.getpid()}.part")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _full_disk_told(part: Path) -> Iterator[None]:
    """Turn an error on a full disk into OSError (ENOSPC): some libraries say no more than that writing failed."""
    try:
        yield
    except LeukoscopeError:
        raise
    except Exception as error:
        usage = shutil.disk_usage(part.parent)
        if disk_is_full(error) or usage.free >= NO_ROOM or not usage.total:  # what has no size at all is no disk
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(part)) from error


@contextmanager
def new_file(target: Path | str) -> Iterator[Path]:
    """Yield a path to write to; on success it replaces `target`, on an error nothing is left."""
    target = Path(target)
    part = _beside(target)
    try:
        with _full_disk_told(part):
            yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def new_folder(target: Path | str) -> Iterator[Path]:
    """Yield an empty folder to fill; on success it replaces the folder `target`, on an error nothing is left."""
    target = Path(target)
    part = _beside(target)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        with _full_disk_told(part):
            yield part
        if target.exists():
            shutil.rmtree(target)
        part.replace(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the lock `file` against this machine's other processes; it goes with the process, however that ends."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def read_json(path: Path, mend: str = "dvc repro") -> Any:
    """What a JSON file holds. Raises DataError where it is missing or broken, with the command that makes it again."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} is missing: run {mend}") from None
    except ValueError as error:
        raise DataError(f"{path} is not readable JSON ({error}): run {mend}") from None


def write_json(target: Path | str, content: Any) -> None:
    """Write `content` as sorted, indented JSON; NaN is refused, since JSON has none."""
    with new_file(target) as part:
        part.write_text(json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")
