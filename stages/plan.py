"""What the rows ask of the data."""

from _stage import main

from leukoscope.config.params import load_params
from leukoscope.core import checkout
from leukoscope.data.plan import write_plan


def run() -> str:
    """Write data/plan."""
    write_plan(load_params(), checkout.PLAN)
    return str(checkout.PLAN)


if __name__ == "__main__":
    main(run)
