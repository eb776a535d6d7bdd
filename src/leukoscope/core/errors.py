"""What can go wrong, and how a process ends when it does.

LeukoscopeError            ours: exit code 1
└── UserError              something the user can mend: exit code 2
    ├── ConfigError        params.yaml: an unknown key, a wrong type, a value out of range
    ├── DataError          images, labels, archives: missing, unreadable, contradictory
    ├── SplitError         too few groups, one class only, a leak where none may be
    ├── WeightsError       pretrained weights that are not there or do not fit
    ├── RegistryError      no champion, a refused promotion, a store that was left behind
    └── StudyError         a tuning study that does not open, or is not the one that was begun

Every message is one line: what was wrong, which file or key, and what to do. Several mistakes in params.yaml have a
line each.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path


class LeukoscopeError(Exception):
    """A failure with a message meant for the person at the terminal."""

    exit_code = 1


class UserError(LeukoscopeError):
    """Something that the user can mend."""

    exit_code = 2


class ConfigError(UserError):
    """params.yaml does not say what it should."""


class DataError(UserError):
    """Images, labels or archives that cannot be used."""


class SplitError(UserError):
    """A split that cannot be made, or that leaks."""


class WeightsError(UserError):
    """Pretrained weights that are missing or do not fit the backbone."""


class RegistryError(UserError):
    """A registry that cannot answer, or a promotion that is refused."""


class StudyError(UserError):
    """A tuning study that does not open, or that was begun on something else."""


SQLITE_FULL = 13
FULL_DISK = (
    "the disk is full: nothing half-written was left behind; make room (df -h says on which disk) and run the same "
    "command again"
)
PIPELINE_FOLDERS = ("data", "models", "results", "reports")
# What is wrong with a file that the system does not give, and what to do; whatever else it says is a mistake of ours.
FILE_FAULTS = {
    errno.EACCES: "this user may not use it: give it the right to, or name another",
    errno.EPERM: "this user may not use it: give it the right to, or name another",
    errno.EROFS: "it lies where nothing may be written: name another place",
    errno.EISDIR: "it is a folder where a file is needed: name another",
    errno.ENOTDIR: "a part of its path is a file where a folder is needed: name another",
    errno.ENAMETOOLONG: "its name is too long for this system: shorten it",
    errno.ELOOP: "it is a link that leads to itself: mend it",
    errno.EIO: "its disk does not answer: look at the disk, then run the same command again",
    errno.ESTALE: "its disk does not answer: look at the disk, then run the same command again",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n 4096) and run the same command again",
}


def _missing_output(error: FileNotFoundError) -> Path | None:
    """The stage's output that is not there, if it is one: relative to the working directory, the checkout's root."""
    named = error.filename or next(iter(error.args), None)  # pyarrow gives the path as the message
    if not isinstance(named, str | Path):
        return None
    path = Path(named)
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return path if path.parts[:1] and path.parts[0] in PIPELINE_FOLDERS else None


def disk_is_full(error: BaseException) -> bool:
    """Whether `error`, or what it was raised from, says that a disk, a quota or SQLite's file has no more room."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if getattr(cause, "sqlite_errorcode", None) == SQLITE_FULL:
            return True
        seen.append(cause)
        cause = cause.__cause__ or cause.__context__
    return False


def _reported(error: Exception) -> UserError | None:
    """What the user can mend of an error that is not ours, wherever it came up; None where it is a mistake of ours."""
    if disk_is_full(error):
        return UserError(FULL_DISK)
    missing = _missing_output(error) if isinstance(error, FileNotFoundError) else None
    if missing:
        return UserError(f"{missing} is not there: run uv run dvc repro")
    if isinstance(error, OSError) and (fault := FILE_FAULTS.get(error.errno or 0)):
        return UserError(f"{error.filename2 or error.filename or 'a file'}: {fault}")
    return None


def one_line(said: str) -> str:
    """The words in one line, with what a terminal would act upon, such as an escape in a file's name, spelled out."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(said.split()))


def message(error: LeukoscopeError) -> str:
    """What is shown of an error: one line; of params.yaml a line for each mistake."""
    lines = str(error).splitlines() if isinstance(error, ConfigError) else [str(error)]
    return "\n".join(one_line(line) for line in lines)


def run_reporting_errors(run: Callable[[], None], *, debug: bool | None = None) -> int:
    """Call `run` and return the exit code: 0, or that of the error, whose message goes to stderr as one line.

    A full disk, a missing output of the pipeline and a file that the system does not give (`FILE_FAULTS`) are the
    user's to mend, wherever they come up. With `debug` (by
    default the environment variable LEUKOSCOPE_DEBUG) the traceback is let through.
    """
    if debug is None:
        debug = bool(os.environ.get("LEUKOSCOPE_DEBUG"))
    try:
        run()
    except Exception as error:
        ours = _reported(error) or error
        if debug or not isinstance(ours, LeukoscopeError):
            raise
        print(f"error: {message(ours)}", file=sys.stderr)
        return ours.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0
