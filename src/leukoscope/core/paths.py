"""Names from a file or a registry that a stranger may have written, checked before they become part of a path."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from leukoscope.core.errors import DataError, UserError

_SHA256 = re.compile(r"[0-9a-f]{64}")


def leads_outside(name: str) -> bool:
    """Whether a name is absolute or climbs: `folder / name` may then be any file of this machine."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or bool(PureWindowsPath(name).drive) or ".." in path.parts


def inside(folder: Path, name: str, error: type[UserError] = DataError) -> Path:
    """`folder / name`. Raises `error` for a name that leads outside the folder."""
    if leads_outside(name):
        raise error(f"{name!r} leads outside {folder}: make the file that names it again (uv run dvc repro)")
    return folder / name


def is_sha256(text: object) -> bool:
    """Whether it is a SHA-256 as this package writes them: 64 hexadecimal digits in lower case."""
    return isinstance(text, str) and _SHA256.fullmatch(text) is not None
