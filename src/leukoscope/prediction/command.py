"""`leukoscope predict`: files, folders and archives scored, shown and written."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from leukoscope import registry
from leukoscope.atomic import new_file
from leukoscope.errors import DataError
from leukoscope.prediction.cautions import warning
from leukoscope.prediction.champion import Champion
from leukoscope.prediction.reading_ahead import prepared_ahead
from leukoscope.prediction.scoring import Prepared, Score, score_prepared
from leukoscope.prediction.sources import ImageFile, images_below
from leukoscope.progress import progress


def predict_command(paths: list[Path], data_name: str, version: int | None, *, csv: Path | None = None) -> None:
    """Score and print."""
    champion = registry.load_champion(data_name, version)
    with images_below(paths) as files:
        scores, unreadable = score_files(files, champion)
    for line in unreadable:
        print(f"not scored: {line}", file=sys.stderr)
    if not scores:
        raise DataError(f"none of the {len(files)} images could be read")
    table = pd.DataFrame(scores)
    if csv:
        with new_file(csv) as part:
            table.to_csv(part, index=False, float_format="%.6f")
    else:
        print(table.to_string(index=False, float_format=lambda p: f"{p:.6f}", na_rep=""))
    print(warning(champion), file=sys.stderr)


def score_files(
    files: list[ImageFile], champion: Champion, *, scale: float = 1.0, prevalence: float | None = None
) -> tuple[list[Score], list[str]]:
    """The answer for each image that reads, in order, and a line for each that does not."""
    unreadable: list[str] = []
    with progress("scoring", len(files), "images") as advance:

        def readable() -> Iterator[Prepared]:
            for one in prepared_ahead(files, champion, scale=scale):
                if isinstance(one, DataError):
                    unreadable.append(str(one))
                else:
                    yield one
                advance(1)

        scores = list(score_prepared(readable(), champion, prevalence))
    return scores, unreadable
