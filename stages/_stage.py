"""What every stage does first and last: use this checkout's library, and end an error in one line.

The checkout's own src comes first on the path, so that a moved checkout and the copies that `dvc exp run --temp` makes
run their own code. An import from here therefore precedes every import of leukoscope.
"""

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from leukoscope.errors import run_reporting_errors


def main(run: Callable[..., None]) -> None:
    """Run a stage with the words of the command line and exit with its code."""
    sys.exit(run_reporting_errors(lambda: run(*sys.argv[1:])))
