"""Python runs this as it starts where this folder is on PYTHONPATH: the first two tries of each stage are killed.

KILLED_ONCE is a folder that remembers which were. A stage dies by SIGKILL, with the `dvc repro` above it: first as it
opens the first file of an output for writing, or before that output is put into its place where a library opens the
file itself, so that what was computed is lost, and what it had begun to write lies half done; then as it ends, when its
outputs and its runs are in place and DVC has not noted them yet.
"""

import atexit
import os
import signal
import sys
from pathlib import Path


def _stage() -> str | None:
    """The stage that this process is; None for any other process."""
    script = Path(sys.orig_argv[1]) if len(sys.orig_argv) > 1 else Path()
    return script.stem if script.parent.name == "stages" else None


def _of_an_output(event: str, arguments: tuple) -> bool:
    if event == "os.rename":
        return str(arguments[0]).endswith(".part")
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    return bool(writes) and ".part" in str(arguments[0])


def _kill_at_the_first_half_output(mark: Path) -> None:
    def watch(event: str, arguments: tuple) -> None:
        if os.getpid() == process and _of_an_output(event, arguments):
            _kill(mark)

    process = os.getpid()
    sys.addaudithook(watch)


def _kill(mark: Path) -> None:
    mark.touch()
    os.killpg(0, signal.SIGKILL)


if "KILLED_ONCE" in os.environ and (stage := _stage()):
    writing, ending = (Path(os.environ["KILLED_ONCE"]) / f"{stage} {moment}" for moment in ("writing", "ending"))
    if not writing.exists():
        _kill_at_the_first_half_output(writing)
    elif not ending.exists():
        atexit.register(_kill, ending)
