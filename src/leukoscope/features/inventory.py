"""Which pretrained weights are on this machine, for every backbone of the table and every row of params.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from leukoscope.config.params import Params
from leukoscope.config.rows import Branch
from leukoscope.core.text import aligned
from leukoscope.features.backbones import BACKBONES, backbone
from leukoscope.features.weights import keras_folder

USUAL_SIZE = 224


def weights_text(params: Params) -> str:
    """Two tables for the terminal: ImageNet's files by backbone and input size, and what each row starts from.

    A backbone that no row names is listed for inputs of 224 pixels. Raises ConfigError for a row of unknown backbone.
    """
    rows = params.rows()
    sizes: dict[str, set[int]] = {name: set() for name in BACKBONES}
    of_rows = [(name, branch.side(row.size), branch) for name, row in rows.items() for branch in row.branches]
    for _, size, branch in of_rows:
        backbone(branch.backbone)
        sizes[branch.backbone].add(size)
    files = [_file_line(name, size) for name in BACKBONES for size in sorted(sizes[name] or {USUAL_SIZE})]
    starts = [[name, f"{branch.backbone} at {size}", _start(branch, size)] for name, size, branch in of_rows]
    return "\n".join(
        [
            f"ImageNet weights, in {keras_folder()} where no other place is given. With `weights: imagenet` Keras or",
            "KerasHub downloads what is not there; without a network, put the file there.",
            "",
            _table(["backbone", "input", "here", "file"], files),
            "",
            _table(["row of params.yaml", "backbone", "weights"], starts),
        ]
    )


def starts(params: Params) -> dict[str, Path | None]:
    """The weights file that each row's backbones start from, by words such as 'mobilenetv2 at 224'.

    None stands for ImageNet's where they are not on this machine; a file that params.yaml names may not be there
    either. Untrained starts have no file and are left out.
    """
    found: dict[str, Path | None] = {}
    for row in params.rows().values():
        for branch in row.branches:
            words = f"{branch.backbone} at {row.size}"
            if branch.weights == "imagenet":
                found[words] = backbone(branch.backbone).imagenet.found(row.size)
            elif branch.weights != "none":
                found[f"{words} from {branch.weights}"] = Path(branch.weights)
    return found


def _file_line(name: str, size: int) -> list[str]:
    weights = BACKBONES[name].imagenet
    place, found = weights.place(size), weights.found(size)
    origin = f" ({weights.origin})" if weights.origin else ""
    file = str(found) if found and found != place else f"{place.name}{origin}"
    return [name, str(size), "yes" if found else "no", file]


def _start(branch: Branch, size: int) -> str:
    """What a row's backbone starts from, and whether it is on this machine."""
    if branch.weights == "none":
        return "none: an untrained start"
    if branch.weights == "imagenet":
        here = BACKBONES[branch.backbone].imagenet.found(size)
        return f"imagenet, {'here' if here else 'to be downloaded'}"
    return f"{branch.weights}, {'here' if Path(branch.weights).is_file() else 'MISSING'}"


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return aligned([dict(zip(columns, line, strict=True)) for line in lines], left=columns)
