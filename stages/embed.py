"""A row's frozen features of every image and view."""

import json

import pandas as pd
from _stage import main

from leukoscope.cluster.embedding import engine_of
from leukoscope.config.params import load_params
from leukoscope.core import checkout
from leukoscope.data.pack import open_pack
from leukoscope.features.embedding import embed, reference_pack


def run(name: str) -> str:
    """Write data/features/<row>."""
    row = json.loads((checkout.PLAN / f"{name}.json").read_text())
    folder = checkout.features(name)
    images = pd.read_parquet(checkout.IMAGES, columns=["image_id", "sha256"])
    packed = open_pack(checkout.PACKED, row["frame"], row["size"])
    if row["mode"] == "finetune":
        reference_pack(row, packed, folder)
        return str(folder)
    draws = pd.read_parquet(checkout.DRAWS)
    params = load_params()
    keep_black = params.augment.keep_black
    embed(row, images, packed, draws, keep_black, checkout.store(), folder, engine_of(params.compute))
    return str(folder)


if __name__ == "__main__":
    main(run)
