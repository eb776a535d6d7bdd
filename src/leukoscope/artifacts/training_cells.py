"""What a version knows of the cells that it was trained on: their range of size and colour, and which pictures.

It lies beside decision.json as training_cells.json and is computed when a version is registered (`training_range`).
The range is the central 99.8 % of the training cells in area and in mean red, green and blue. The ends are left out so
that one odd training image does not open it; on C-NMC's fold 0 (28 subjects, 5 grouped folds) it flags 1.6 % of the
cells of subjects that the range was not taken from, where the extremes would flag 0.4 % and the central 99 % 5.1 %.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import TypeAdapter, ValidationError

from leukoscope.artifacts.metrics import Estimate
from leukoscope.core.errors import DataError
from leukoscope.core.files import write_json
from leukoscope.core.text import hundredths, percent, with_interval
from leukoscope.imaging.cell import Cell

TRAINING_FILE = "training_cells.json"
SIZE, COLOUR = "size", "colour"
MEANINGS = {
    SIZE: "a cell smaller or larger than those of training",
    COLOUR: "a mean colour outside that of training's cells",
}
FLAG_OF = {"area": SIZE, "red": COLOUR, "green": COLOUR, "blue": COLOUR}
Seen = Literal["file", "picture", "no"]
SAME_FILE: Final = "file"
SAME_PICTURE: Final = "picture"
UNSEEN: Final = "no"


@dataclass(frozen=True)
class TrainingCells:
    """training_cells.json.

    `range` has for each measure of FLAG_OF its ends ([low, high]; pixels, or grey levels 0 to 255), `unseen` the rate
    at which it flags subjects that are not in it (with its interval), `prevalence` the share of ALL that p was
    calibrated on, and `pictures` the training pictures' fingerprints.
    """

    range: Mapping[str, tuple[float, float]]
    unseen: Mapping[str, Any]
    prevalence: float
    pictures: list[str]

    def range_flags(self, cell: Cell) -> tuple[str, ...]:
        """SIZE and COLOUR, where the cell lies outside the range."""
        return flags_outside(self.range, measures(cell.area, cell.colour))

    def shows(self, cell: Cell) -> bool:
        """Whether a picture of this cell was in training: as other bytes, in a wider margin, turned or mirrored."""
        return fingerprint(cell.area, cell.colour) in self._pictures

    def write(self, folder: Path) -> None:
        """Write training_cells.json into `folder`."""
        write_json(folder / TRAINING_FILE, asdict(self))

    @cached_property
    def _pictures(self) -> frozenset[str]:
        return frozenset(self.pictures)


def measures(area: float, colour: tuple[float, float, float]) -> dict[str, float]:
    """A cell's measures by their names in FLAG_OF."""
    return dict(zip(FLAG_OF, (float(area), *colour), strict=True))


def flags_outside(range_: Mapping[str, tuple[float, float]], measured: Mapping[str, float]) -> tuple[str, ...]:
    """The flags of the measures that lie outside their range."""
    outside = (FLAG_OF[name] for name, (low, high) in range_.items() if not low <= measured[name] <= high)
    return tuple(dict.fromkeys(outside))


def flagged_in_words(range: Mapping[str, tuple[float, float]], unseen: Mapping[str, Any]) -> str:
    """`range` and `unseen` of TrainingCells for a person."""
    low, high = range["area"]
    rate = with_interval(Estimate.of(unseen, "rate"), percent, hundredths)
    return (
        f"cells of {low:,.0f} to {high:,.0f} pixels, and their colours; it flags {rate} of the cells of "
        f"{unseen['n_subjects']} subjects that it was not taken from"
    )


def fingerprint(area: float, colour: tuple[float, float, float]) -> str:
    """16 hexadecimal digits of a cell's exact area and mean colour, which no two cells share.

    A lossless copy in another format, with more or less black around it, turned or mirrored, has the same ones; a JPEG
    has others. Of C-NMC's fold 0 only copies share them.
    """
    return hashlib.sha256(struct.pack("<4f", area, *colour)).hexdigest()[:16]


def read_training_cells(folder: Path) -> TrainingCells | None:
    """training_cells.json of a version's folder; None where the version was logged without it.

    Raises DataError for a file that is none.
    """
    path = folder / TRAINING_FILE
    if not path.exists():
        return None
    try:
        cells = TypeAdapter(TrainingCells).validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{path} has no training cells ({'.'.join(map(str, first['loc']))}: {first['msg']})") from None
    if missing := {*FLAG_OF} - {*cells.range} | {"rate", "n_subjects"} - {*cells.unseen}:
        raise DataError(f"{path} has no training cells (without {', '.join(sorted(missing))})")
    return cells
