"""Progress of long work: a bar with rate and time left on a terminal, a plain line at the end otherwise."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Set for the processes of a command that draws on the terminal itself: two live displays would overwrite each other.
BEHIND_ANOTHER = "LEUKOSCOPE_BEHIND_ANOTHER"


def may_draw() -> bool:
    """Whether stderr is a terminal that this process has for itself."""
    return sys.stderr.isatty() and BEHIND_ANOTHER not in os.environ


@contextmanager
def progress(what: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Show work in progress on stderr. Yields a function to call with each number of units finished."""
    started = time.monotonic()
    if may_draw():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda finished: bar.update(task, advance=finished)
    else:
        yield lambda finished: None
    seconds = time.monotonic() - started
    rate = f", {total / seconds:.0f} a second" if seconds > 1 else ""
    print(f"{what}: {total} {unit} in {seconds:.0f} s{rate}", file=sys.stderr)


@contextmanager
def live_text(seconds_between: float = 30) -> Iterator[Callable[[str], None]]:
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
