"""What every stage does first and last: use this checkout's library, and end an error in one line.

The checkout's own src comes first on the path, so that a moved checkout and the copies that `dvc exp run --temp` makes
run their own code. An import from here therefore precedes every import of leukoscope.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from leukoscope.errors import run_reporting_errors

STARTED = time.monotonic()


def main(run: Callable[..., None]) -> None:
    """Run a stage with the words of the command line, say how long it took, and exit with its code."""

    def timed() -> None:
        run(*sys.argv[1:])
        stage = " ".join([Path(sys.argv[0]).stem, *sys.argv[1:]])
        print(f"{stage}: done in {time.monotonic() - STARTED:.0f} s", file=sys.stderr)

    sys.exit(run_reporting_errors(timed))
