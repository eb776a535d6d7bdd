"""The images of the source that params.yaml names, into data/raw."""

from _stage import main

from leukoscope.config.params import load_params
from leukoscope.core import checkout
from leukoscope.data.sources.fetch import fetch


def run() -> str:
    """Write data/raw."""
    print(fetch(load_params().fetch))
    return str(checkout.RAW)


if __name__ == "__main__":
    main(run)
