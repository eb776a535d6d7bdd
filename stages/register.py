"""Candidates ranked within one honest protocol; the best that passes the gate becomes champion."""

from pathlib import Path

import pandas as pd
from _stage import main

from leukoscope.config.params import load_params
from leukoscope.core.files import write_json
from leukoscope.registry import training_range
from leukoscope.registry.promotion import register

COLUMNS = ["file", *training_range.COLUMNS]


def run() -> str:
    """Write reports/registered.json."""
    images = pd.read_parquet("data/images.parquet", columns=COLUMNS)
    registered = register(load_params(), images, pd.read_parquet("data/splits.parquet"))
    write_json(Path("reports/registered.json"), registered)
    print(registered["reason"])
    return "reports/registered.json"


if __name__ == "__main__":
    main(run)
