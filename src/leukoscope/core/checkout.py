"""Where things live that are not in git and not DVC outputs: MLflow's store and the stores that save work.

`dvc exp run --temp` runs stages in a copy without ignored files and sets DVC_ROOT to the real checkout, so these are
found from there and not from the working directory.
"""

from __future__ import annotations

import os
from pathlib import Path


def checkout() -> Path:
    """The real checkout's root, absolute: DVC_ROOT inside a stage, the working directory elsewhere."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def mlruns() -> Path:
    """MLflow's SQLite store and artifacts; Optuna's journal."""
    return checkout() / "mlruns"


def store() -> Path:
    """Work that need not be done twice: frozen features and converted backbones. Safe to delete."""
    return checkout() / ".leukoscope"


def inside_experiment() -> bool:
    """True inside `dvc exp run`, where nothing may be promoted."""
    return bool(os.environ.get("DVC_EXP_NAME") or os.environ.get("DVC_EXP_BASELINE_REV"))
