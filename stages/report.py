"""What a reader sees: the page, the small JSON behind dvc metrics, and the tables behind dvc plots."""

from _stage import main

from leukoscope.config.params import load_params
from leukoscope.core import checkout
from leukoscope.report.page import write_report


def run() -> str:
    """Write reports/index.html, reports/summary.json and reports/plots."""
    write_report(load_params())
    return str(checkout.PAGE)


if __name__ == "__main__":
    main(run, f"; next: open {checkout.PAGE}; uv run leukoscope summary")
