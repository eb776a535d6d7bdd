"""Every image of data/raw decoded once: one row each, and the list of those that cannot be read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from leukoscope.core.errors import DataError
from leukoscope.core.paths import leads_outside
from leukoscope.core.progress import progress
from leukoscope.imaging.cell import cell_in, grain, lit_part, perceptual_hash, portrait, share_of_black
from leukoscope.imaging.reading import decode, read_bytes

INDEX_COLUMNS = ("file", "image_id", "set", "fold", "label", "subject")
SCHEMA = pa.schema(
    {
        "image_id": pa.string(),
        "file": pa.string(),
        "set": pa.string(),
        "fold": pa.int8(),
        "label": pa.int8(),
        "subject": pa.string(),
        "group": pa.string(),
        "sha256": pa.string(),
        "phash": pa.string(),
        "duplicate_of": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "cell_area": pa.float64(),
        "colour": pa.list_(pa.float32(), 3),
        "grain": pa.float32(),
        "black": pa.float32(),
        "cells": pa.int16(),
    }
)
"""The columns of images.parquet. cell_area is in pixels at native scale, colour the mean R, G, B (0..255) of the cell,
grain the deviation of its finest texture in grey levels (`cell.grain`), black the share of pixels that are exactly 0,
cells the number of sizeable pieces (1 in a proper picture)."""

_BLOCK = 512  # images handed to the workers at a time, so that memory does not grow with the data set


class BadImage(NamedTuple):
    """An image that cannot be read, and why."""

    file: str
    image_id: str
    reason: str


def read_index(raw: Path) -> pd.DataFrame:
    """The rows of raw/index.csv: fold and label Int8, an absent subject None. Raises DataError if it is malformed."""
    path = raw / "index.csv"
    try:
        index = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise DataError(f"{path} is missing: run dvc repro fetch") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a readable CSV: {error}") from None
    if missing := [column for column in INDEX_COLUMNS if column not in index]:
        raise DataError(f"{path} has no column {', '.join(missing)}: run dvc repro fetch")
    if index.empty:
        raise DataError(f"{path} lists no image: look at fetch.path in params.yaml")
    if (repeated := index["file"][index["file"].duplicated()]).size:
        raise DataError(f"{path} lists {repeated.iloc[0]} twice: run dvc repro fetch")
    if outside := next(filter(leads_outside, index["file"]), None):
        raise DataError(f"{path} lists {outside}, which leads outside {raw / 'images'}: run dvc repro fetch")
    for column in ("fold", "label"):
        try:
            index[column] = index[column].replace("", pd.NA).astype("Int8")
        except ValueError:
            raise DataError(f"{path}: column {column} holds something other than small whole numbers") from None
    index["subject"] = index["subject"].where(index["subject"] != "", None)
    return index[list(INDEX_COLUMNS)]


def build_manifest(raw: Path) -> tuple[pd.DataFrame, list[BadImage]]:
    """Decode each image of raw/index.csv once, on all cores, with a few pictures in memory at a time.

    Returns the rows of the readable ones, sorted by image_id (SCHEMA's columns without group and duplicate_of, and
    `portrait`, int8 [32, 32], which finding duplicates needs), and the unreadable ones in the index's order. The result
    does not depend on the number of cores.
    """
    index = read_index(raw)
    measured: list[dict[str, Any]] = []
    bad: list[BadImage] = []
    with progress("validate", len(index), "images") as advance:
        for row, outcome in zip(index.itertuples(), _measure_all(raw, index["file"]), strict=True):
            if isinstance(outcome, str):
                bad.append(BadImage(str(row.file), str(row.image_id), outcome))
            else:
                measured.append({"file": row.file, **outcome})
            advance(1)
    columns = [
        "file",
        "sha256",
        "phash",
        "width",
        "height",
        "cell_area",
        "colour",
        "grain",
        "black",
        "cells",
        "portrait",
    ]
    measures = pd.DataFrame(measured, columns=columns)
    images = index.merge(measures, on="file", validate="one_to_one")
    return images.sort_values(["image_id", "file"], ignore_index=True), bad


def to_table(images: pd.DataFrame) -> pa.Table:
    """The rows as an Arrow table of SCHEMA; pandas reads it back with nullable integers."""
    return pa.Table.from_pandas(images[SCHEMA.names], schema=SCHEMA, preserve_index=False)


def _measure_all(raw: Path, files: pd.Series) -> Iterator[dict[str, Any] | str]:
    paths = iter(raw / "images" / file for file in files)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while block := list(islice(paths, _BLOCK)):
            yield from pool.map(_measure, block)


def _measure(path: Path) -> dict[str, Any] | str:
    """What one picture shows, or why it cannot be read."""
    try:
        data = read_bytes(path)
        picture = decode(data)
    except DataError as error:
        return str(error).removeprefix(f"{path}: ")
    except ValueError as error:
        return str(error)
    height, width = picture.shape[:2]
    lit = lit_part(picture)
    cell = cell_in(lit)
    likeness = portrait(cell)
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "phash": perceptual_hash(likeness),
        "width": width,
        "height": height,
        "cell_area": float(cell.area) if cell else 0.0,
        "colour": list(cell.colour) if cell else [0.0, 0.0, 0.0],
        "grain": grain(cell),
        "black": share_of_black(lit, height * width),
        "cells": cell.pieces if cell else 0,
        "portrait": np.clip(np.rint(likeness), -127, 127).astype(np.int8),
    }
