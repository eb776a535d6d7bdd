"""The two CSV files that give labels: C-NMC's preliminary labels, and the list of a data set of one's own."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from leukoscope.core.errors import DataError
from leukoscope.core.paths import leads_outside
from leukoscope.data.sources.names import CLASSES, name_fault, parse_uid

PRELIM_COLUMNS = ("patient_id", "new_names", "labels")
LISTING_COLUMNS = ("file", "label", "subject")


class Listed(NamedTuple):
    """A row of a list of images: path, class name, and the person that the cell is from."""

    file: str
    label: str
    subject: str


def is_prelim(table: Path) -> bool:
    """True if the file has the columns of C-NMC's preliminary labels."""
    return set(PRELIM_COLUMNS) <= set(_header(table))


def is_listing(table: Path) -> bool:
    """True if the file lists images; False for preliminary labels. Raises DataError for any other columns."""
    if set(LISTING_COLUMNS) <= set(_header(table)):
        return True
    if is_prelim(table):
        return False
    raise DataError(f"fetch.labels: {table.name} needs the columns {', '.join(LISTING_COLUMNS)}")


def read_prelim(tables: Sequence[Path]) -> dict[str, tuple[str, int]]:
    """Subject and label by image_id (prelim-12), from files with Patient_ID, new_names and labels.

    Names are matched without their extension, since images are often saved in another format than the CSV says. Raises
    DataError if a row is malformed, if Patient_ID and label disagree, or if an image has two different labels.
    """
    labels: dict[str, tuple[str, int]] = {}
    for table in tables:
        for line, row in _rows(table, PRELIM_COLUMNS):
            image_id, answer = _prelim_row(row, f"{table.name}, line {line}")
            if labels.setdefault(image_id, answer) != answer:
                raise DataError(f"{table.name}, line {line}: {row['new_names']} has two different labels")
    return labels


def read_listing(table: Path) -> list[Listed]:
    """The rows of a CSV with file, label and subject, files as posix paths.

    Raises DataError for an empty cell, a file that is listed twice or lies outside the folder, or no rows at all.
    """
    rows: list[Listed] = []
    seen: set[str] = set()
    for line, row in _rows(table, LISTING_COLUMNS):
        where = f"{table.name}, line {line}"
        listed = Listed(Path(row["file"].replace("\\", "/")).as_posix(), row["label"], row["subject"])
        if empty := [column for column in LISTING_COLUMNS if not row[column]]:
            raise DataError(f"{where}: {empty[0]} is empty")
        if odd := [column for column in LISTING_COLUMNS if name_fault(row[column])]:
            raise DataError(f"{where}: {odd[0]} holds a control character, such as the end of a line")
        if leads_outside(row["file"]):
            raise DataError(f"{where}: {row['file']} must be a path below fetch.path")
        if listed.file in seen:
            raise DataError(f"{where}: {row['file']} is listed twice")
        seen.add(listed.file)
        rows.append(listed)
    if not rows:
        raise DataError(f"{table.name} lists no images")
    return rows


def _prelim_row(row: dict[str, str], where: str) -> tuple[str, tuple[str, int]]:
    stem, label = Path(row["new_names"]).stem, row["labels"]
    named = parse_uid(Path(row["patient_id"]).stem)
    if named is None or not stem.isdecimal() or label not in ("0", "1"):
        raise DataError(f"{where}: expected a row such as UID_57_29_1_all.bmp,1.bmp,1")
    if named[1] != int(label):
        raise DataError(f"{where}: {row['patient_id']} is {CLASSES[named[1]]}, but its label is {label} (1 is ALL)")
    return f"prelim-{int(stem)}", named


def _header(table: Path) -> list[str]:
    """The first record; a table in an unknown encoding has some header too, and is then none of ours."""
    return next(_records(table, errors="replace"), (0, []))[1]


def _rows(table: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    records = _records(table)
    header = next(records)[1]
    if twice := [column for column in columns if header.count(column) > 1]:
        raise DataError(f"{table.name} has two columns called {twice[0]}: keep one of them")
    for line, record in records:
        if not any(record):
            continue
        if len(record) != len(header):
            raise DataError(f"{table.name}, line {line}: {len(record)} values for {len(header)} columns")
        row = dict(zip(header, record, strict=True))
        yield line, {column: row[column] for column in columns}


def _records(table: Path, errors: str = "strict") -> Iterator[tuple[int, list[str]]]:
    """Line numbers and stripped values; the first record, the header, in lower case.

    Values stand between commas, or between semicolons where the header has these alone: spreadsheets write them where
    the comma is the decimal point.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig", errors=errors) as file:
            header = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=";" if ";" in header and "," not in header else ",")
            for number, record in enumerate(reader):
                values = [value.strip() for value in record]
                yield reader.line_num, values if number else [value.lower() for value in values]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table.name} is not a readable CSV file: {error}") from None
