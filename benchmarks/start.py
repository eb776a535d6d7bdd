"""How soon `leukoscope --help` has answered, beside a Python that imports Typer and does nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.measuring import Reach, duration, report, side_by_side

HELP = (Path(sys.executable).parent / "leukoscope", "--help")
TYPER = (sys.executable, "-c", "import typer")


def main() -> None:
    """Measure and report."""
    subprocess.run(HELP, check=True, stdout=subprocess.PIPE)  # once beforehand, so that the files are in memory
    ours, peer = side_by_side(
        9,
        lambda: subprocess.run(HELP, check=True, stdout=subprocess.PIPE),
        lambda: subprocess.run(TYPER, check=True),
    )
    report(duration("leukoscope --help / import typer", ours, peer, Reach(0.5, at_most=True, unit="s")))


if __name__ == "__main__":
    main()
