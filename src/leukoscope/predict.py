"""Scoring images with a registered model: p(ALL), the call at its threshold, and the images that do not read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from leukoscope.atomic import new_file
from leukoscope.data.names import IMAGE_SUFFIXES, is_hidden, parse_uid
from leukoscope.data.pack import centre_frame
from leukoscope.data.reading import read_rgb
from leukoscope.errors import DataError
from leukoscope.evaluation.decision import not_real
from leukoscope.evaluation.tuned_groups import mark
from leukoscope.progress import progress

if TYPE_CHECKING:
    import keras

BATCH = 64
COLUMNS = ("file", "subject", "p_all", "call", "version")


@dataclass(frozen=True)
class Champion:
    """A registered model with what its validation decided (decision.json) and its version."""

    model: keras.Model
    decision: dict[str, Any]
    version: str


@dataclass
class Scores:
    """One row for each image that reads (`table`, with COLUMNS) and a line for each that does not."""

    table: pd.DataFrame
    unreadable: list[str] = field(default_factory=list)


def images_below(paths: Iterable[Path]) -> list[Path]:
    """The images that `paths` name: files as they are, folders with everything below them, in order and once.

    Raises DataError for a path that is not there, and when there is no image at all.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            below = sorted(path.rglob("*"))
            found |= dict.fromkeys(file for file in below if _is_image(file, path))
        elif path.exists():
            found[path] = None
        else:
            raise DataError(f"{path} is not there")
    if not found:
        raise DataError(f"no image ({', '.join(sorted(IMAGE_SUFFIXES))}) below {', '.join(map(str, paths))}")
    return list(found)


def _is_image(file: Path, root: Path) -> bool:
    hidden = any(is_hidden(part) for part in file.relative_to(root).parts)
    return not hidden and file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()


def score(files: Sequence[Path], champion: Champion) -> Scores:
    """Score every readable image. Memory holds a batch of pictures; decoding runs beside the model, on all cores.

    The call is ALL where p_all exceeds the model's threshold. `subject` is read from C-NMC names, empty for others.
    """
    threshold = champion.decision["pooled"]["threshold"]
    settings = champion.decision["settings"]
    size_of_batch = BATCH // settings.get("rotations", 1)  # the model makes one batch of all rotations
    rows: list[dict[str, Any]] = []
    unreadable: list[str] = []
    with progress("scoring", len(files), "images") as advance:
        for batch in _read_batches(files, settings["frame"], size_of_batch):
            readable = [(file, picture) for file, picture in batch if isinstance(picture, np.ndarray)]
            unreadable += [str(error) for _, error in batch if isinstance(error, DataError)]
            if readable:
                pictures = np.stack([picture for _, picture in readable]).astype(np.float32)
                p_all = champion.model.predict_on_batch(pictures)[:, 0]
                rows += [
                    {
                        "file": str(file),
                        "subject": _subject(file),
                        "p_all": float(p),
                        "call": "ALL" if p > threshold else "hem",
                        "version": champion.version,
                    }
                    for (file, _), p in zip(readable, p_all, strict=True)
                ]
            advance(len(batch))
    return Scores(pd.DataFrame(rows, columns=list(COLUMNS)), unreadable)


def _read_batches(files: Sequence[Path], frame: int, size: int) -> Iterator[list[tuple[Path, np.ndarray | DataError]]]:
    """Batches of framed pictures, the next one being read while the caller works on this one."""

    def read(file: Path) -> tuple[Path, np.ndarray | DataError]:
        try:
            return file, centre_frame(read_rgb(file), frame)
        except DataError as error:
            return file, error

    with ThreadPoolExecutor() as pool:
        batches = [files[start : start + size] for start in range(0, len(files), size)]
        ahead = [pool.submit(read, file) for file in batches[0]] if batches else []
        for following in [*batches[1:], []]:
            current, ahead = ahead, [pool.submit(read, file) for file in following]
            yield [future.result() for future in current]


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
