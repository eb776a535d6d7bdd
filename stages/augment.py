"""Augmentation as data: every view's draw, and a picture of what the operations do."""

import json

import pandas as pd
from _stage import main

from leukoscope.config.params import load_params
from leukoscope.core import checkout
from leukoscope.core.files import new_file
from leukoscope.core.paths import inside
from leukoscope.imaging.draws import draw_table
from leukoscope.imaging.framing import frame_and_resize
from leukoscope.imaging.preview import draw_preview
from leukoscope.imaging.reading import read_rgb


def run() -> str:
    """Write data/augment: draws.parquet and preview.png."""
    settings = load_params().augment
    pictures = json.loads(checkout.PLANNED_PICTURES.read_text())
    images = pd.read_parquet(checkout.IMAGES, columns=["image_id", "file", "sha256"])
    with new_file(checkout.DRAWS) as part:
        draw_table(images, settings, pictures["views"]).to_parquet(part, index=False)
    shown = images.iloc[0]
    framed = frame_and_resize(read_rgb(inside(checkout.IMAGE_FILES, shown["file"])), *pictures["packs"][0])
    title = f"Augmentation of {shown['image_id']}"
    draw_preview(framed, shown["sha256"], settings, title, checkout.PREVIEW)
    return str(checkout.DRAWS.parent)


if __name__ == "__main__":
    main(run)
