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


def _note() -> None:
    line = json.dumps({"words": sys.argv, "loaded": [name for name in HEAVY if name in sys.modules]})
    with Path(os.environ["LOADED_LOG"]).open("a") as log:
        log.write(line + "\n")


if "LOADED_LOG" in os.environ:
    atexit.register(_note)
