"""Candidates ranked within one honest protocol; the best that passes the gate becomes champion."""

from pathlib import Path

import pandas as pd
from _stage import main

from leukoscope.config.params import load_params
from leukoscope.core.files import write_json
from leukoscope.registry import training_range
from leukoscope.registry.promotion import Logged, register

COLUMNS = ["file", *training_range.COLUMNS]


def run() -> str:
    """Write reports/registered.json."""
    images = pd.read_parquet("data/images.parquet", columns=COLUMNS)
    registered = register(load_params(), images, pd.read_parquet("data/splits.parquet"))
    if registered.logged:
        print(*_became(registered.logged), sep="\n")
    write_json(Path("reports/registered.json"), registered.content)
    print(registered.content["reason"])
    return "reports/registered.json"


def _became(logged: Logged) -> list[str]:
    """The lines that say what became of the winner."""
    lines = [f"{logged.row}: version {logged.version} of {logged.model}{'' if logged.new else ', known already'}"]
    if logged.candidate:
        lines.append(f"version {logged.version} of {logged.model} is a candidate")
    return lines + [str(promotion) for promotion in logged.promotions]


if __name__ == "__main__":
    main(run)
