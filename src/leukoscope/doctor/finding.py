"""What the doctor says of one thing: how it is, in words, and the command that mends it."""

from __future__ import annotations

from typing import NamedTuple

MARKS = ("ok", "to do", "WRONG")


class Finding(NamedTuple):
    """One of MARKS, what was found, and the command that mends it; empty where there is nothing to mend.

    `to do` is what is not there yet and will be made or downloaded when it is needed; only WRONG fails.
    """

    mark: str
    words: str
    mend: str = ""


def ok(words: str) -> Finding:
    """All is well."""
    return Finding("ok", words)


def to_do(words: str, mend: str) -> Finding:
    """Not there yet, or better otherwise; nothing is broken."""
    return Finding("to do", words, mend)


def wrong(words: str, mend: str) -> Finding:
    """Broken. `mend` is empty where the words have the command."""
    return Finding("WRONG", words, mend)


def size(count: float) -> str:
    """Bytes as people say them: 3.4 GB, 120 MB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
