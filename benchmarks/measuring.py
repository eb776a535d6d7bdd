"""How two ways of doing one thing are timed, and what a benchmark says of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Reach:
    """What a ratio is to be, or, where there is a unit, our own figure: at least, or at most, a number."""

    limit: float
    at_most: bool = False
    unit: str = ""

    def holds(self, figure: float) -> bool:
        """Whether a figure reaches it."""
        return figure <= self.limit if self.at_most else figure >= self.limit

    def __str__(self) -> str:
        return f"at {'most' if self.at_most else 'least'} {self.limit:g} {self.unit}".rstrip()


@dataclass(frozen=True)
class Measured:
    """A figure of ours beside the peer's, in one unit; both may be alone. `bound` says what bounds one not reached."""

    name: str
    ours: float
    peer: float | None
    unit: str
    ratio: float | None
    reach: Reach
    bound: str = ""

    @property
    def reached(self) -> bool:
        """Whether the ratio, or our figure, is what it is to be."""
        judged = self.ours if self.reach.unit else self.ratio
        if judged is None:
            raise ValueError(f"{self.name}: nothing to hold against {self.reach}")
        return self.reach.holds(judged)

    def __str__(self) -> str:
        """One line."""
        said = f"{self.name}: ours {self.ours:.4g} {self.unit}"
        if self.peer is not None:
            said += f", peer {self.peer:.4g} {self.unit}, ratio {self.ratio:.3g}"
        return said if self.reached else f"{said}: NOT REACHED ({self.reach}); {self.bound}".removesuffix("; ")

    def as_json(self) -> dict[str, Any]:
        """The record of results.json."""
        return {**asdict(self), "reach": str(self.reach), "reached": self.reached}


def speed(name: str, items: int, unit: str, ours: list[float], peer: list[float], reach: Reach) -> Measured:
    """Rates (`items` over seconds) of paired runs; the ratio is the median of the pairs' own."""
    ratio = median(b / a for a, b in zip(ours, peer, strict=True))
    return Measured(name, items / median(ours), items / median(peer), f"{unit}/s", ratio, reach)


def duration(name: str, ours: list[float], peer: list[float], reach: Reach) -> Measured:
    """Seconds of paired runs; the ratio is ours over the peer's where it has an upper limit, else its inverse."""
    pairs = [(a, b) if reach.at_most else (b, a) for a, b in zip(ours, peer, strict=True)]
    return Measured(name, median(ours), median(peer), "s", median(a / b for a, b in pairs), reach)


def side_by_side(rounds: int, *ways: Callable[[], object]) -> list[list[float]]:
    """Seconds of each way in `rounds` rounds of all of them in turn, so that a machine's drift meets all alike.

    Nothing is run beforehand: what a first run would pay for, and the user only once, the caller runs once.
    """
    seconds: list[list[float]] = [[] for _ in ways]
    for _ in range(rounds):
        for taken, way in zip(seconds, ways, strict=True):
            taken.append(timed(way))
    return seconds


def timed(work: Callable[[], object]) -> float:
    """The seconds that `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def cells(count: int, seed: int = 7) -> list[Any]:
    """`count` synthetic cells, uint8 [450, 450, 3]: what is drawn does not matter here, its size and its black do."""
    from leukoscope.data.synthetic.cells import fixed_cells

    return list(fixed_cells(count, seed))


def report(*measured: Measured) -> None:
    """Print each on a line of its own, and as JSON for `python -m benchmarks`, which runs every file by itself."""
    import json
    import os
    from pathlib import Path

    for one in measured:
        print(one, flush=True)
    if out := os.environ.get("BENCHMARK_RESULTS"):
        Path(out).write_text(json.dumps([one.as_json() for one in measured]))
