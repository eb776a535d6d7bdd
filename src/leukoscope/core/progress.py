"""Progress of long work: a bar with rate and time left on a terminal, a plain line now and then otherwise."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import ProgressColumn


# Set for the processes of a command that tells of the progress itself: two live displays would overwrite each other.
BEHIND_ANOTHER = "LEUKOSCOPE_BEHIND_ANOTHER"
PLAIN_SECONDS = 30.0  # between two lines where there is no terminal
FIRST_RATE_SECONDS = 1.0  # a rate over less says nothing


def may_draw() -> bool:
    """Whether stderr is a terminal that this process has for itself."""
    return sys.stderr.isatty() and BEHIND_ANOTHER not in os.environ


def rate_in_words(units: float, seconds: float) -> str:
    """'45 a second', or per minute or hour where that is less than one; empty before there is a rate."""
    if units <= 0 or seconds < FIRST_RATE_SECONDS:
        return ""
    for span, name in ((1, "a second"), (60, "a minute"), (3600, "an hour")):
        rate = units / seconds * span
        if rate >= 1 or name == "an hour":
            return f"{rate:,.0f} {name}" if rate >= 10 else f"{rate:.1f} {name}"
    raise AssertionError


def time_in_words(seconds: float) -> str:
    """'52 s', '14 min' or '3.2 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


class Work:
    """How much of `total` units is done. Call it with what was finished since; parts of a unit count too."""

    def __init__(self, total: float, changed: Callable[[Work], None]) -> None:
        self.total, self.done = total, 0.0
        self._changed = changed
        self._started = time.monotonic()

    def __call__(self, finished: float) -> None:
        """Take `finished` units as done."""
        self.done += finished
        self._changed(self)

    def spare(self, units: float) -> None:
        """Take away units that turned out not to be needed."""
        self.total -= units
        self._changed(self)

    @property
    def seconds(self) -> float:
        """Since the work began."""
        return time.monotonic() - self._started

    @property
    def rate(self) -> str:
        """In words, over the whole of the work."""
        return rate_in_words(self.done, self.seconds)

    @property
    def left(self) -> str:
        """The time left, in words, if the rate stays; empty before there is one."""
        return time_in_words(self.seconds / self.done * (self.total - self.done)) + " left" if self.rate else ""


@contextmanager
def progress(what: str, total: float, unit: str) -> Iterator[Work]:
    """Show work in progress on stderr, and in the end how long it took. Yields what to call as units are finished.

    Silent in the processes of another command that shows their progress.
    """
    showing = _bar if may_draw() else _silent if BEHIND_ANOTHER in os.environ else _lines
    with showing(what, total, unit) as work:
        yield work
    if showing is not _silent:
        rate = f", {work.rate}" if work.rate else ""
        print(f"{what}: {work.done:,.0f} {unit} in {time_in_words(work.seconds)}{rate}", file=sys.stderr, flush=True)


@contextmanager
def _bar(what: str, total: float, unit: str) -> Iterator[Work]:
    """A bar in one place, taken away when the work is done."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(*_columns(unit), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total, rate="", left="")
        yield Work(
            total,
            lambda work: bar.update(task, completed=work.done, total=work.total, rate=work.rate, left=work.left),
        )


def _columns(unit: str) -> tuple[ProgressColumn, ...]:
    from rich.progress import BarColumn, TextColumn

    return (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} " + unit),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[left]}"),
    )


@contextmanager
def _lines(what: str, total: float, unit: str) -> Iterator[Work]:
    """A line every PLAIN_SECONDS, for logs."""
    said = time.monotonic()

    def changed(work: Work) -> None:
        nonlocal said
        if time.monotonic() - said >= PLAIN_SECONDS:
            said = time.monotonic()
            words = [f"{what}: {work.done:,.0f} of {work.total:,.0f} {unit}", work.rate, work.left]
            print(", ".join(filter(None, words)), file=sys.stderr, flush=True)

    yield Work(total, changed)


@contextmanager
def _silent(what: str, total: float, unit: str) -> Iterator[Work]:
    yield Work(total, lambda work: None)


@contextmanager
def live_text(seconds_between: float = PLAIN_SECONDS) -> Iterator[Callable[[str], None]]:
    """Yield a function that shows a text on stderr: in one place on a terminal, else a line now and then, and the last.

    Off a terminal a text is printed where it differs from the one before and `seconds_between` have passed.
    """
    if may_draw():
        from rich.console import Console

        with Console(stderr=True).status("") as status:
            yield lambda text: status.update(text)
        return
    printed, waiting, at = "", "", time.monotonic()

    def show(text: str) -> None:
        nonlocal printed, waiting, at
        waiting = text
        if text != printed and time.monotonic() - at >= seconds_between:
            print(text, file=sys.stderr, flush=True)
            printed, at = text, time.monotonic()

    yield show
    if waiting != printed:
        print(waiting, file=sys.stderr, flush=True)
