"""Which image trains, validates and tests under each protocol."""

import pandas as pd
from _stage import main

from leukoscope.config.params import load_params
from leukoscope.core import checkout
from leukoscope.core.files import new_file
from leukoscope.data.splits import make_splits


def run() -> str:
    """Write data/splits.parquet."""
    params = load_params()
    splits = make_splits(pd.read_parquet(checkout.IMAGES), params.split, params.protocols)
    with new_file(checkout.SPLITS) as part:
        splits.to_parquet(part, index=False)
    return str(checkout.SPLITS)


if __name__ == "__main__":
    main(run)
