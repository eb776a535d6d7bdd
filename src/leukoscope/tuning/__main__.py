"""A worker of a study as a process: `python -m leukoscope.tuning TASK`, with the task as JSON."""

import json
import sys

from leukoscope.core.errors import run_reporting_errors

INTERRUPTED = 130


def main() -> None:
    """Work on the task that the command line holds. The command that began it says that it was interrupted."""
    try:
        # Imported here: an interrupt may come in the seconds that this takes.
        from leukoscope.config.params import load_params
        from leukoscope.tuning.bench import Bench
        from leukoscope.tuning.worker import Task, work

        task = Task(**json.loads(sys.argv[1]))
        work(Bench.of(load_params(), task.row, task.fold), task)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    sys.exit(run_reporting_errors(main))
