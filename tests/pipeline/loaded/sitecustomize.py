"""Python runs this as it starts where this folder is on PYTHONPATH: what a process had loaded is noted as it ends."""

import atexit
import json
import os
import sys
from pathlib import Path

# What costs tenths of a second and more to import.
HEAVY = (
    "dvc",
    "great_expectations",
    "keras",
    "keras_hub",
    "matplotlib",
    "mlflow",
    "openvino",
    "optuna",
    "sklearn",
    "tensorflow",
)


# Where a project's own modules lie.
OWN = (Path.cwd() / "src", Path.cwd() / "stages")


def _own_files() -> list[str]:
    """The project's files that were loaded, as paths below the working directory at the start."""
    files = {
        Path(file).resolve() for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))
    }
    own = (file for file in files if any(file.is_relative_to(folder.resolve()) for folder in OWN))
    return sorted(file.relative_to(OWN[0].parent.resolve()).as_posix() for file in own)


def _note() -> None:
    note = {
        "words": sys.argv,
        "stage": os.environ.get("DVC_STAGE"),  # DVC's, which the processes that a stage starts inherit
        "loaded": [name for name in HEAVY if name in sys.modules],
        "files": _own_files(),
    }
    with Path(os.environ["LOADED_LOG"]).open("a") as log:
        log.write(json.dumps(note) + "\n")


if "LOADED_LOG" in os.environ:
    atexit.register(_note)
