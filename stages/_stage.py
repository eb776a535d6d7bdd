"""What every stage does first and last: use this checkout's library, say what was written, end an error in one line.

The checkout's own src comes first on the path, so that a moved checkout and the copies that `dvc exp run --temp` makes
run their own code. An import from here therefore precedes every import of leukoscope.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from leukoscope.core.errors import run_reporting_errors
from leukoscope.core.progress import time_in_words

STARTED = time.monotonic()
# What to look at is for the last stage to say; after the others DVC goes on by itself, unless a person ran one by hand.
GO_ON = "" if "DVC_STAGE" in os.environ else "; next: uv run dvc repro"


def main(run: Callable[..., str], then: str = GO_ON) -> None:
    """Run a stage with the words of the command line, and exit with its code.

    `run` returns what it wrote, which is said with how long it took and what to do `then`.
    """

    def timed() -> None:
        wrote = run(*sys.argv[1:])
        stage = " ".join([Path(sys.argv[0]).stem, *sys.argv[1:]])
        seconds = time_in_words(time.monotonic() - STARTED)
        print(f"{stage}: done in {seconds}, wrote {wrote}{then}", file=sys.stderr)

    sys.exit(run_reporting_errors(timed))
