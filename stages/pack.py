"""Every image decoded once into memory-mapped arrays."""

import json
from pathlib import Path

import pandas as pd
from _stage import main

from leukoscope.data.pack import pack_images


def run() -> str:
    """Write data/packed."""
    packs = json.loads(Path("data/plan/pictures.json").read_text())["packs"]
    images = pd.read_parquet("data/images.parquet", columns=["image_id", "file", "sha256"])
    pack_images(images, Path("data/raw"), [tuple(pack) for pack in packs], Path("data/packed"))
    return "data/packed"


if __name__ == "__main__":
    main(run)
