"""Scores as CSV and as JSON lines: exactly one row, or line, for each image that was scored.

What holds for all of them (the version, what it was trained on, its caution) stands in every row, so that a row says
it still where files were joined or cut; the first columns are what most people read.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from leukoscope.core.errors import DataError, disk_is_full
from leukoscope.core.files import new_file
from leukoscope.prediction.scoring import Score
from leukoscope.prediction.subjects import SubjectSummary
from leukoscope.registry.champion import Version
from leukoscope.registry.notices import caution, trained_on

STDOUT = Path("-")
DIGITS = 6  # of probabilities: the model's own are exact to about as many
COLUMNS = ("file", "subject", "p_all", "call", "flags", "version", "refer", "seen", "trained_on", "caution")

Record = dict[str, Any]


def records(
    scores: Iterable[Score],
    champion: Version,
    *,
    scale: float = 1.0,
    prevalence: float | None = None,
    digits: int | None = DIGITS,
) -> list[Record]:
    """One dict for each score, of COLUMNS and of those options that were given.

    p is rounded to `digits`, or not; `call`, `refer` and `subject` are None where Score says so, and `flags` is a list.
    """

    def rounded(p: float) -> float:
        return p if digits is None else round(p, digits)

    about = {"trained_on": trained_on(champion), "caution": caution(champion)}
    asked: Record = {} if scale == 1 else {"scale": scale}
    rows = []
    for score in scores:
        known = {**asdict(score), **about, "p_all": rounded(score.p_all), "flags": list(score.flags)}
        row = {name: known[name] for name in COLUMNS} | asked
        if prevalence is not None and score.p_at_prevalence is not None:
            row |= {"prevalence": prevalence, "p_at_prevalence": rounded(score.p_at_prevalence)}
        rows.append(row)
    return rows


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write dicts of one shape as CSV: empty for None, true and false, p with all its digits, flags joined by ';'."""
    with _written(path) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(rows[0])
        table.writerows([_cell(name, value) for name, value in row.items()] for row in rows)


def write_json_lines(rows: Iterable[Record], path: Path) -> None:
    """Write a JSON object a line."""
    with _written(path) as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def subject_records(subjects: Iterable[SubjectSummary], champion: Version) -> list[Record]:
    """One dict for each subject: the fields of SubjectSummary, and what holds for all."""
    about = {"version": champion.version, "trained_on": trained_on(champion), "caution": caution(champion)}
    return [asdict(subject) | about for subject in subjects]


@contextmanager
def _written(path: Path) -> Iterator[TextIO]:
    if path == STDOUT:
        yield sys.stdout
        return
    try:
        with new_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        if disk_is_full(error):
            raise
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from None


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ";".join(value)
    if isinstance(value, float) and name in ("p_all", "p_at_prevalence", "share_all", "low", "high"):
        return f"{value:.{DIGITS}f}"
    return str(value)
