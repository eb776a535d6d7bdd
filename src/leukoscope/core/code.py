"""A hash of code by its meaning: what is remembered of a computation is named by the code that computed it."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
BLOCKS = ("body", "orelse", "handlers", "finalbody", "cases")  # where a syntax tree holds statements


@cache
def code_hash(*places: str, root: Path = PACKAGE) -> str:
    """The SHA-256 of all modules in `places`: folders and modules of the package, such as `imaging` or `data/pack.py`.

    It covers syntax trees and names below `root`. Comments, docstrings, layout and the package's own place change
    nothing; another minor version of Python may change it. Raises FileNotFoundError for a place that is not there.
    """
    digest = hashlib.sha256()
    for module in sorted({module for place in places for module in _modules(root / place)}):
        tree = ast.parse(module.read_bytes())
        _drop_strings_that_stand_alone(tree)
        digest.update(f"{module.relative_to(root).as_posix()}\n{ast.dump(tree)}\n".encode())
    return digest.hexdigest()


def _modules(place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from place.rglob("*.py")
    elif place.is_file():
        yield place
    else:
        raise FileNotFoundError(f"{place} is no module and no folder of modules")


def _drop_strings_that_stand_alone(node: ast.AST) -> None:
    """Docstrings, and strings below a name that describe it; `node` has blocks of statements."""
    for block in BLOCKS:
        statements = getattr(node, block, None)
        if isinstance(statements, list):
            statements[:] = [statement for statement in statements if not _is_string(statement)]
            for statement in statements:
                _drop_strings_that_stand_alone(statement)


def _is_string(statement: ast.AST) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
