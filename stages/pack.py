"""Every image decoded once into memory-mapped arrays."""

import json

import pandas as pd
from _stage import main

from leukoscope.core import checkout
from leukoscope.data.pack import pack_images


def run() -> str:
    """Write data/packed."""
    packs = json.loads(checkout.PLANNED_PICTURES.read_text())["packs"]
    images = pd.read_parquet(checkout.IMAGES, columns=["image_id", "file", "sha256"])
    pack_images(images, checkout.RAW, [tuple(pack) for pack in packs], checkout.PACKED)
    return str(checkout.PACKED)


if __name__ == "__main__":
    main(run)
