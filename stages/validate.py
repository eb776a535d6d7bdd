"""Every image decoded and checked once, and its subjects joined where they share a picture."""

from pathlib import Path

from _stage import main

from leukoscope.config.params import load_params
from leukoscope.data.quality.validation import validate


def run() -> str:
    """Write data/images.parquet and reports/validation."""
    summary = validate(
        Path("data/raw"), load_params().validate_, Path("data/images.parquet"), Path("reports/validation")
    )
    print(summary)
    return "data/images.parquet and reports/validation"


if __name__ == "__main__":
    main(run)
