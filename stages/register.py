"""Candidates ranked within one honest protocol; the best that passes the gate becomes champion."""

import pandas as pd
from _stage import main

from leukoscope.config.params import load_params
from leukoscope.core import checkout
from leukoscope.core.files import write_json
from leukoscope.registry import training_range
from leukoscope.registry.promotion import Logged, register

COLUMNS = ["file", *training_range.COLUMNS]


def run() -> str:
    """Write reports/registered.json."""
    images = pd.read_parquet(checkout.IMAGES, columns=COLUMNS)
    registered = register(load_params(), images, pd.read_parquet(checkout.SPLITS))
    if registered.logged:
        print(*_became(registered.logged), sep="\n")
    write_json(checkout.REGISTERED, registered.content)
    print(registered.content["reason"])
    return str(checkout.REGISTERED)


def _became(logged: Logged) -> list[str]:
    """The lines that say what became of the winner."""
    lines = [f"{logged.row}: version {logged.version} of {logged.model}{'' if logged.new else ', known already'}"]
    if logged.candidate:
        lines.append(f"version {logged.version} of {logged.model} is a candidate")
    return lines + [str(promotion) for promotion in logged.promotions]


if __name__ == "__main__":
    main(run)
