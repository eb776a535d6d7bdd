"""Every image decoded and checked once, and its subjects joined where they share a picture."""

from _stage import main

from leukoscope.config.params import load_params
from leukoscope.core import checkout
from leukoscope.data.quality.validation import validate


def run() -> str:
    """Write data/images.parquet and reports/validation."""
    summary = validate(checkout.RAW, load_params().validate_, checkout.IMAGES, checkout.VALIDATION)
    print(summary)
    return f"{checkout.IMAGES} and {checkout.VALIDATION}"


if __name__ == "__main__":
    main(run)
