"""Keras, imported when it is first needed and without TensorFlow's notes; saved models, loaded as data."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from leukoscope.core.errors import DataError

if TYPE_CHECKING:
    import keras


# TensorFlow reads these once, when it is first imported.
_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",  # its start-up notes are no news to anyone who waits for a stage
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # else the first process takes a GPU's whole memory, and others have none
}
_STARTUP_NOTES = (b"WARNING: All log messages before absl::InitializeLog()", b"oneDNN custom operations are on")


def load_keras() -> None:
    """Import Keras for the first time in a process, without TensorFlow's C++ start-up notes on stderr.

    They are written past Python, and no setting silences them; whatever else the import writes is passed on.
    """
    # Each fold is a new model and so a new graph, which TensorFlow would call excessive retracing.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if "keras" in sys.modules:
        return
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    sys.stderr.flush()
    terminal = os.dup(2)
    try:
        with tempfile.TemporaryFile() as written:
            os.dup2(written.fileno(), 2)
            try:
                importlib.import_module("keras")
            finally:
                os.dup2(terminal, 2)
                written.seek(0)
                lines = [line for line in written if not any(note in line for note in _STARTUP_NOTES)]
                os.write(2, b"".join(lines))
    finally:
        os.close(terminal)


def load_saved(path: Path) -> keras.Model:
    """A .keras file's model, loaded in safe mode: as data, never as code.

    Raises DataError for a file that is no whole model, or that asks for code to be run.
    """
    load_keras()
    import keras

    try:
        return keras.saving.load_model(path, safe_mode=True)
    except (ValueError, TypeError, OSError, KeyError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path} is not a model that can be loaded as data alone ({reason}): train it again") from error
