"""Progress on a real terminal, in a log, and behind a command that shows it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from leukoscope.core.progress import BEHIND_ANOTHER, Work, rate_in_words, time_in_words
from tests.fixtures.terminal import frames, on_terminal

SRC = Path(__file__).parents[2] / "src"
WORK = """
import time
from leukoscope.core import progress
progress.PLAIN_SECONDS = 0.4
with progress.progress("scoring", 40, "images") as advance:
    for image in range(30):
        time.sleep(0.07)
        advance(1)
    advance.spare(10)
"""
FAILING = """
from leukoscope.core.progress import progress
with progress("scoring", 40, "images") as advance:
    advance(1)
    raise SystemExit(3)
"""


def environment(**more: str) -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if name != BEHIND_ANOTHER}
    return {**known, "PYTHONPATH": str(SRC), **more}


def in_a_log(code: str, **more: str) -> list[str]:
    ran = subprocess.run([sys.executable, "-c", code], env=environment(**more), capture_output=True, text=True)
    assert ran.stdout == ""
    return ran.stderr.splitlines()


def test_a_terminal_shows_a_bar_with_rate_and_time_left_and_in_the_end_one_line() -> None:
    code, written = on_terminal([sys.executable, "-c", WORK], environment=environment())
    assert code == 0
    drawn = frames(written)
    moving = [frame for frame in drawn if re.search(r"scoring .*━.* \d+ of 40 images +1\d a second +\d+ s left", frame)]
    assert moving, drawn
    assert re.fullmatch(r"scoring: 30 images in \d s, 1\d a second", drawn[-1])
    assert "\x1b[?25h" in written, "the cursor must come back"


def test_a_narrow_terminal_keeps_the_bar_on_one_line() -> None:
    _, written = on_terminal([sys.executable, "-c", WORK], environment=environment(), columns=60)
    assert all(len(frame) <= 60 for frame in frames(written))


def test_a_log_has_plain_lines_now_and_then() -> None:
    lines = in_a_log(WORK)
    assert "\x1b" not in "".join(lines)
    assert re.fullmatch(r"scoring: \d+ of 40 images, 1\d a second, \d s left", lines[-2])
    assert re.fullmatch(r"scoring: 30 images in \d s, 1\d a second", lines[-1])


def test_nothing_is_said_behind_a_command_that_shows_it() -> None:
    assert in_a_log(WORK, **{BEHIND_ANOTHER: "1"}) == []
    assert frames(on_terminal([sys.executable, "-c", WORK], environment=environment(**{BEHIND_ANOTHER: "1"}))[1]) == []


def test_work_that_fails_does_not_say_that_it_is_done() -> None:
    assert in_a_log(FAILING) == []
    code, written = on_terminal([sys.executable, "-c", FAILING], environment=environment())
    assert code == 3
    assert "scoring:" not in written
    assert "\x1b[?25h" in written


@pytest.mark.parametrize(
    ("units", "seconds", "words"),
    [
        (0, 10, ""),
        (5, 0.1, ""),
        (100_000, 10, "10,000 a second"),
        (45, 10, "4.5 a second"),
        (5, 100, "3.0 a minute"),
        (0.25, 600, "1.5 an hour"),
        (0.01, 600, "0.1 an hour"),
    ],
)
def test_a_rate_is_told_in_the_unit_that_suits_it(units: float, seconds: float, words: str) -> None:
    assert rate_in_words(units, seconds) == words


def test_time_is_told_in_seconds_minutes_and_hours() -> None:
    assert [time_in_words(seconds) for seconds in (4.6, 89, 90, 5000, 20_000)] == [
        "5 s",
        "89 s",
        "2 min",
        "83 min",
        "5.6 h",
    ]


def test_units_that_are_not_needed_shorten_the_time_left() -> None:
    totals = []
    work = Work(100, lambda changed: totals.append(changed.total))
    work(10)
    work.spare(80)
    assert (work.done, totals) == (10, [100, 20])
