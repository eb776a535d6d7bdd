"""data/raw as fetch leaves it, filled with drawn cells, and the ways in which a picture comes back as another file."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from leukoscope.atomic import write_json
from leukoscope.data.cell_drawing import draw_cell, place
from leukoscope.data.cell_traits import Differences, cell_traits, subject_means

FRAME = 450


class Shot(NamedTuple):
    """A picture and what the index says of it; its image_id is the file's stem."""

    file: str
    picture: np.ndarray | bytes
    label: int | None = 1
    subject: str | None = "1"
    set: str = "train"
    fold: int | None = None


def drawn(seed: int, label: int = 1) -> np.ndarray:
    """A synthetic cell on black, uint8 [450, 450, 3] RGB; cells of one label have one subject's traits."""
    means = subject_means(label, 2, Differences(1.0), np.random.default_rng(7))[0]
    rng = np.random.default_rng(seed)
    return place(draw_cell(cell_traits(label, means, rng), label, rng), FRAME, rng)


def encoded(picture: np.ndarray, suffix: str, quality: int = 90) -> bytes:
    """The bytes of an RGB (or grey, or RGBA) picture as a file of this format."""
    code = {2: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}[
        picture.ndim if picture.ndim == 2 else picture.shape[2]
    ]
    pixels = picture if code is None else cv2.cvtColor(picture, code)
    return cv2.imencode(suffix, pixels, [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else [])[1].tobytes()


def write_raw(raw: Path, shots: Sequence[Shot], *, complete: bool = False) -> Path:
    """Write images, index.csv and source.json; pictures are encoded as their file's suffix says."""
    for shot in shots:
        path = raw / "images" / shot.file
        path.parent.mkdir(parents=True, exist_ok=True)
        data = shot.picture if isinstance(shot.picture, bytes) else encoded(shot.picture, path.suffix)
        path.write_bytes(data)
    raw.mkdir(parents=True, exist_ok=True)
    with (raw / "index.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["file", "image_id", "set", "fold", "label", "subject"])
        for shot in sorted(shots, key=lambda shot: shot.file):
            table.writerow([shot.file, Path(shot.file).stem, shot.set, shot.fold, shot.label, shot.subject])
    classes = {"1": "ALL", "0": "hem"}
    write_json(raw / "source.json", {"classes": classes, "cnmc_complete": complete, "verified": None})
    return raw


def sound_shots() -> list[Shot]:
    """Twelve different cells of two subjects with leukemia and two without."""
    people = [("1", 1), ("2", 1), ("H1", 0), ("H2", 0)]
    return [
        Shot(f"UID_{subject}_{image}_1_{'all' if label else 'hem'}.png", drawn(10 * who + image, label), label, subject)
        for who, (subject, label) in enumerate(people)
        for image in range(3)
    ]


def shifted(picture: np.ndarray, right: float, down: float) -> np.ndarray:
    """The picture moved by so many pixels."""
    move = np.array([[1, 0, right], [0, 1, down]], np.float32)
    return cv2.warpAffine(picture, move, picture.shape[1::-1])


def resized(picture: np.ndarray, factor: float) -> np.ndarray:
    """The picture enlarged or reduced."""
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def photographed_again(picture: np.ndarray, seed: int = 0) -> np.ndarray:
    """The same cell in another photograph: other light and noise, half a pixel off, cut out a little differently."""
    rng = np.random.default_rng(seed)
    again = shifted(picture, 0.5, 0.4).astype(np.float32)
    again = again * 1.06 + rng.normal(0, 1.5, again.shape).astype(np.float32)
    inside = cv2.erode((picture.max(axis=2) > 0).astype(np.uint8), np.ones((5, 5), np.uint8))
    return np.where(inside[..., None] > 0, np.clip(again, 17, 255), 0).astype(np.uint8)


COPIES: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "in another format": (".bmp", lambda picture: picture),
    "as JPEG": (".jpg", lambda picture: picture),
    "resized": (".png", lambda picture: resized(picture, 0.8)),
    "shifted": (".png", lambda picture: shifted(picture, 10, -7)),
    "mirrored": (".png", lambda picture: picture[:, ::-1]),
    "upside down": (".png", lambda picture: picture[::-1]),
    "turned": (".png", lambda picture: np.rot90(picture)),
    "mirrored, resized and as JPEG": (".jpg", lambda picture: resized(picture, 0.8)[:, ::-1]),
}
