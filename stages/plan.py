"""What the rows ask of the data."""

from pathlib import Path

from _stage import main

from leukoscope.config.params import load_params
from leukoscope.data.plan import write_plan


def run() -> str:
    """Write data/plan."""
    write_plan(load_params(), Path("data/plan"))
    return "data/plan"


if __name__ == "__main__":
    main(run)
