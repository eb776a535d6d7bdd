"""Which pretrained weights are on this machine, for every backbone of the table and every row of params.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leukoscope.config.params import Params
from leukoscope.config.rows import Branch
from leukoscope.features.backbones import BACKBONES, backbone

USUAL_SIZE = 224


@dataclass(frozen=True)
class Start:
    """What a backbone of a row starts from.

    `size` is the side of its own input, smaller than the row's at a coarser scale. `weights` is as params.yaml has it,
    `file` is their file, None for an untrained start, which is always `here`; another file may not be.
    """

    row: str
    backbone: str
    size: int
    weights: str
    file: Path | None
    here: bool

    @property
    def from_imagenet(self) -> bool:
        """Whether it starts from ImageNet's weights, which are downloaded where they are not here."""
        return self.weights == "imagenet"


@dataclass(frozen=True)
class ImageNetFile:
    """A backbone's ImageNet weights for inputs of `size`.

    `place` is where the file belongs, `found` where it is, None where it is not on this machine. `origin` is what the
    file is called where it is published, empty where that is its own name.
    """

    backbone: str
    size: int
    place: Path
    found: Path | None
    origin: str


def starts(params: Params) -> list[Start]:
    """What each row's backbones start from, in params.yaml's order. Raises ConfigError for an unknown backbone."""
    return [_start(name, row.size, branch) for name, row in params.rows().items() for branch in row.branches]


def imagenet_files(used: Sequence[Start]) -> list[ImageNetFile]:
    """ImageNet's weights for every backbone of the table, at the sizes that it is used at, or else at 224 pixels."""
    sizes: dict[str, set[int]] = {name: set() for name in BACKBONES}
    for start in used:
        sizes[start.backbone].add(start.size)
    return [_imagenet_file(name, size) for name in BACKBONES for size in sorted(sizes[name] or {USUAL_SIZE})]


def _start(row: str, row_size: int, branch: Branch) -> Start:
    size = branch.side(row_size)
    theirs = backbone(branch.backbone).imagenet
    if branch.weights == "none":
        file, here = None, True
    elif branch.weights == "imagenet":
        found = theirs.found(size)
        file, here = found or theirs.place(size), found is not None
    else:
        file = Path(branch.weights)
        here = file.is_file()
    return Start(row, branch.backbone, size, branch.weights, file, here)


def _imagenet_file(name: str, size: int) -> ImageNetFile:
    weights = BACKBONES[name].imagenet
    return ImageNetFile(name, size, weights.place(size), weights.found(size), weights.origin)


def _columns(table: list[list[str]]) -> list[str]:
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table]
