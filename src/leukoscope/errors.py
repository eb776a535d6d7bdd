"""What can go wrong, and how a process ends when it does.

LeukoscopeError            ours: exit code 1
└── UserError              something the user can mend: exit code 2
    ├── ConfigError        params.yaml: an unknown key, a wrong type, a value out of range
    ├── DataError          images, labels, archives: missing, unreadable, contradictory
    ├── SplitError         too few groups, one class only, a leak where none may be
    ├── WeightsError       pretrained weights that are not there or do not fit
    └── RegistryError      no champion, a refused promotion, a store that was left behind

Every message is one line: what was wrong, which file or key, and what to do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


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


def run_reporting_errors(run: Callable[[], None], *, debug: bool | None = None) -> int:
    """Call `run` and return the exit code: 0, or that of the error, whose message goes to stderr as one line.

    With `debug` (by default the environment variable LEUKOSCOPE_DEBUG) the traceback is let through.
    """
    if debug is None:
        debug = bool(os.environ.get("LEUKOSCOPE_DEBUG"))
    try:
        run()
    except LeukoscopeError as error:
        if debug:
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0
