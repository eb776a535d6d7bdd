"""Candidates ranked within one honest protocol; the best that passes the gate becomes champion."""

from pathlib import Path

import pandas as pd
from _stage import main

from leukoscope.atomic import write_json
from leukoscope.config import load_params
from leukoscope.promotion import register

COLUMNS = ["image_id", "file", "label", "subject", "group", "sha256", "cell_area", "colour"]


def run() -> None:
    """Write reports/registered.json."""
    images = pd.read_parquet("data/images.parquet", columns=COLUMNS)
    registered = register(load_params(), images, pd.read_parquet("data/splits.parquet"))
    write_json(Path("reports/registered.json"), registered)
    print(registered["reason"])


if __name__ == "__main__":
    main(run)
