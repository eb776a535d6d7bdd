"""Where everything of a checkout lies: one function for each file or folder that more than one room names.

`dvc exp run --temp` runs stages in a copy without ignored files and sets DVC_ROOT to the real checkout. So MLflow's
store and the saved work are found from `root`, and what stages write from the working directory, which is the copy.

A name of a row or an ensemble that leads outside its folder is refused with DataError.
"""

from __future__ import annotations

import os
from pathlib import Path

from leukoscope.core.paths import inside

HERE = Path()
RAW = Path("data/raw")
IMAGE_FILES = RAW / "images"
INDEX = RAW / "index.csv"
SOURCE = RAW / "source.json"
IMAGES = Path("data/images.parquet")
SPLITS = Path("data/splits.parquet")
PLAN = Path("data/plan")
PLANNED_PICTURES = PLAN / "pictures.json"
PACKED = Path("data/packed")
DRAWS = Path("data/augment/draws.parquet")
PREVIEW = Path("data/augment/preview.png")
TIMING_FILE = "timing.json"  # in a trained row's folder
HISTORY_FILE = "history.csv"  # there, and in its results: one line for each fold and epoch
MODELS = Path("models")
RESULTS = Path("results")
REPORTS = Path("reports")
VALIDATION = REPORTS / "validation"
REGISTERED = REPORTS / "registered.json"
SUMMARY = REPORTS / "summary.json"
PAGE = REPORTS / "index.html"
TABLE_V = REPORTS / "table_v.csv"
EXPLAINED = REPORTS / "explained"


def root() -> Path:
    """The real checkout's root, absolute: DVC_ROOT inside a stage, the working directory elsewhere."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def mlruns() -> Path:
    """MLflow's SQLite store and artifacts; Optuna's journal."""
    return root() / "mlruns"


def store() -> Path:
    """Work that need not be done twice: frozen features and converted backbones. Safe to delete.

    It grows: a folder is named by the code that computed its content, and when that code changes, the old one stays.
    """
    return root() / ".leukoscope"


def inside_experiment() -> bool:
    """True inside `dvc exp run`, where nothing may be promoted."""
    return bool(os.environ.get("DVC_EXP_NAME") or os.environ.get("DVC_EXP_BASELINE_REV"))


def features(row: str, below: Path = HERE) -> Path:
    """A row's frozen features, in the checkout `below`."""
    return inside(below / "data/features", row)


def folder_name(row: str, protocol: str) -> str:
    """The name of the folder of a row, or an ensemble, under a protocol, in models/ and in results/."""
    return f"{row}-{protocol}"


def trained(row: str, protocol: str, below: Path = HERE) -> Path:
    """What training leaves of a row, or of an ensemble, under a protocol: decision.json, and a row's folds."""
    return inside(below / MODELS, folder_name(row, protocol))


def results(row: str, protocol: str, below: Path = HERE) -> Path:
    """What evaluation leaves of a row or an ensemble under a protocol: metrics, predictions, tables, figures."""
    return inside(below / RESULTS, folder_name(row, protocol))


def evaluated(row: str, protocol: str, below: Path = HERE) -> Path:
    """The hashes of what evaluation left of a row under a protocol."""
    return inside(below / "data/evaluated", f"{protocol}/{row}.json")


def tuning(row: str, below: Path = HERE) -> Path:
    """The figures and tables of a row's studies."""
    return inside(below / REPORTS / "tuning", row)


def members(ensemble: str, below: Path = HERE) -> Path:
    """The rows of an ensemble as they were evaluated: a file for each protocol."""
    return inside(below / "data/members", ensemble)
