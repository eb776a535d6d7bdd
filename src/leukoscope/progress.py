"""Progress of long work: a bar with rate and time left on a terminal, a plain line at the end otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(what: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Show work in progress on stderr. Yields a function to call with each number of units finished."""
    started = time.monotonic()
    if sys.stderr.isatty():
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
