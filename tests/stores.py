"""Checkouts with a store of MLflow's, for the fixtures of tests that write runs and versions."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

import pytest

from leukoscope import mlflow_store

OUTSIDE = ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "DVC_STAGE")


@cache
def _fresh_store() -> tempfile.TemporaryDirectory:
    """A folder with an empty store, which takes MLflow seconds to make; copies of it relocate themselves."""
    folder = tempfile.TemporaryDirectory()
    with pytest.MonkeyPatch.context() as patch:
        for name in OUTSIDE:
            patch.delenv(name, raising=False)
        patch.setenv("DVC_ROOT", folder.name)
        mlflow_store.open_store()
    return folder


def empty_checkout(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a new folder, with a space in its path, outside of any experiment and without a store."""
    for name in OUTSIDE:
        monkeypatch.delenv(name, raising=False)
    root = folder / "a checkout"
    root.mkdir()
    monkeypatch.chdir(root)
    return root


def checkout_with_store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same with an empty store."""
    root = empty_checkout(folder, monkeypatch)
    shutil.copytree(Path(_fresh_store().name) / "mlruns", root / "mlruns")
    return root
