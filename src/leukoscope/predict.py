"""Scoring images with a registered model: p(ALL), the call at its threshold, and the images that do not read."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leukoscope.atomic import new_file
from leukoscope.data.layouts import scan
from leukoscope.data.names import IMAGE_SUFFIXES, name_fault, parse_uid
from leukoscope.data.pack import centre_frame
from leukoscope.data.reading import read_rgb
from leukoscope.errors import DataError
from leukoscope.evaluation.caveats import not_real
from leukoscope.evaluation.tuned_groups import mark
from leukoscope.models.scoring import Scorer
from leukoscope.progress import progress

READ_AHEAD = 16  # pictures for each core
COLUMNS = ("file", "subject", "p_all", "call", "version")


@dataclass(frozen=True)
class Champion:
    """A registered model with what its validation decided (decision.json) and its version."""

    model: Scorer
    decision: dict[str, Any]
    version: str


@dataclass
class Scores:
    """One row for each image that reads (`table`, with COLUMNS) and a line for each that does not."""

    table: pd.DataFrame
    unreadable: list[str] = field(default_factory=list)


def images_below(paths: Iterable[Path]) -> list[Path]:
    """The images that `paths` name: files as they are, folders with everything below them, in order and once.

    Raises DataError for a path that is not there, a folder that cannot be read, a name that no table can hold, and when
    there is no image at all.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found |= dict.fromkeys(path / name for name in scan(path).images)
        elif fault := name_fault(str(path)):
            raise DataError(f"{os.fsencode(path)!r}: {fault}")
        elif path.exists():
            found[path] = None
        else:
            raise DataError(f"{path} is not there")
    if not found:
        raise DataError(f"no image ({', '.join(sorted(IMAGE_SUFFIXES))}) below {', '.join(map(str, paths))}")
    return list(found)


def score(files: Sequence[Path], champion: Champion) -> Scores:
    """Score every readable image. Decoding runs ahead of the model on all cores, and memory holds some pictures a core.

    The call is ALL where p_all exceeds the model's threshold. `subject` is read from C-NMC names, empty for others.
    """
    threshold = champion.decision["pooled"]["threshold"]
    readable: list[Path] = []
    unreadable: list[str] = []
    with progress("scoring", len(files), "images") as advance:

        def framed() -> Iterator[np.ndarray]:
            for file, picture in zip(files, _framed(files, champion.decision["settings"]["frame"]), strict=True):
                if isinstance(picture, DataError):
                    unreadable.append(str(picture))
                else:
                    readable.append(file)
                    yield picture
                advance(1)

        p_all = list(champion.model.p_all(framed()))
    rows = [
        {
            "file": str(file),
            "subject": _subject(file),
            "p_all": p,
            "call": "ALL" if p > threshold else "hem",
            "version": champion.version,
        }
        for file, p in zip(readable, p_all, strict=True)
    ]
    return Scores(pd.DataFrame(rows, columns=list(COLUMNS)), unreadable)


def _framed(files: Sequence[Path], frame: int) -> Iterator[np.ndarray | DataError]:
    """The files' pictures uint8 [frame, frame, 3], or why they do not read, in order and some ahead of the caller."""

    def read(file: Path) -> np.ndarray | DataError:
        try:
            return centre_frame(read_rgb(file), frame)
        except DataError as error:
            return error

    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        left = iter(files)
        ahead = deque(pool.submit(read, file) for file in islice(left, READ_AHEAD * cores))
        while ahead:
            yield ahead.popleft().result()
            ahead.extend(pool.submit(read, file) for file in islice(left, 1))


def _subject(file: Path) -> str | None:
    try:
        known = parse_uid(file.stem)
    except DataError:
        return None
    return known[0] if known else None


def write_csv(scores: Scores, path: Path) -> None:
    """Write the table with p_all to 6 decimals."""
    with new_file(path) as part:
        scores.table.to_csv(part, index=False, float_format="%.6f")


def warning(champion: Champion) -> str:
    """What anyone who reads these scores must know of the model."""
    about = champion.decision
    data = about["data"]
    said = f"model: {about['row']}, version {champion.version}, trained on '{data['name']}' ({data['kind']} images)"
    if marked := mark(about):
        said = f"{said}; {marked}: its figures are too good"
    return f"{said}; {unreal}: not for real cells" if (unreal := not_real(about)) else f"{said}; research use only"
