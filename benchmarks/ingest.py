"""What the stage validate does to each picture, on all cores, beside the loop that one would write with Pillow."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cv2
import imagehash
import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

from benchmarks.measuring import Reach, cells, report, side_by_side, speed
from leukoscope.data.quality.manifest import INDEX_COLUMNS, build_manifest
from leukoscope.imaging.cell import BACKGROUND

DRAWN, FILES, ROUNDS = 40, 400, 5


def main() -> None:
    """Measure and report."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder)
        files = bmp_folder(raw)
        build_manifest(raw)  # once beforehand, so that the files are in memory for both

        processor: list[float] = []

        def ours() -> None:
            started = time.process_time()
            images, bad = build_manifest(raw)
            processor.append(time.process_time() - started)
            assert (len(images), bad) == (FILES, [])

        def peer() -> None:
            for file in files:
                plainly(file)

        ours_seconds, peer_seconds = side_by_side(ROUNDS, ours, peer)
    measured = speed("ingest / Pillow and imagehash", FILES, "images", ours_seconds, peer_seconds, Reach(3))
    at_once = sum(processor) / sum(ours_seconds)
    report(replace(measured, bound=f"other processes left it {at_once:.2f} of {os.cpu_count()} cores"))


def bmp_folder(raw: Path) -> list[Path]:
    """450x450 BMP files below raw/images, as C-NMC's are, and raw/index.csv: each drawn cell under several shifts."""
    (raw / "images").mkdir(parents=True)
    drawn, rows = cells(DRAWN), []
    for number in range(FILES):
        shifted = np.roll(drawn[number % DRAWN], number // DRAWN, axis=(0, 1))
        cv2.imwrite(str(raw / "images" / f"{number}.bmp"), shifted[..., ::-1])
        rows.append((f"{number}.bmp", str(number), "train", 0, number % 2, str(number % 20)))
    pd.DataFrame(rows, columns=list(INDEX_COLUMNS)).to_csv(raw / "index.csv", index=False)
    return [raw / "images" / row[0] for row in rows]


def plainly(file: Path) -> tuple[str, str, bool]:
    """The file's hash, its perceptual hash, and whether the picture is one cell on black."""
    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    _, pieces = ndimage.label(np.asarray(picture.convert("L")) > BACKGROUND)
    return hashlib.sha256(file.read_bytes()).hexdigest(), str(imagehash.phash(picture)), pieces == 1


if __name__ == "__main__":
    main()
