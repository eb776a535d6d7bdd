"""Checkouts with a store of MLflow's, for the fixtures of tests that write runs and versions."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from leukoscope import mlflow_pages, mlflow_store

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


@contextmanager
def served(port: int) -> Iterator[subprocess.Popen]:
    """A server of the working directory's store that answers; it is killed with all its processes."""
    with answering(mlflow_pages.ui_command(port), port) as server:
        yield server


@contextmanager
def answering(command: list[str], port: int) -> Iterator[subprocess.Popen]:
    """A server of MLflow's, which `command` starts, once it answers; it is killed with all its processes."""
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 300  # a busy machine takes a minute to import MLflow
        while not answers(port):
            assert time.monotonic() < deadline, "the server did not answer within five minutes"
            time.sleep(0.5)
        yield server
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def answers(port: int) -> bool:
    """Whether a server listens there and is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
