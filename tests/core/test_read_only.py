"""A checkout that may be read and not written: shared by a colleague, mounted from elsewhere, or on a full machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from leukoscope.registry.promotion import register
from tests.fixtures.raw_folders import encoded
from tests.fixtures.stores import checkout_with_store
from tests.fixtures.trained_rows import images, params, splits, write_params, write_row
from tests.fixtures.unprivileged import AS_A_USER

ROOT = Path(__file__).parents[2]


@pytest.fixture
def read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout with a champion whose every file and folder lost its write permission."""
    checkout = checkout_with_store(tmp_path, monkeypatch)
    write_row(checkout, "a_row", skill=3)
    write_params(checkout, "a_row")
    register(params("a_row"), images(), splits())
    entries = [checkout, *checkout.rglob("*")]
    for entry in entries:
        entry.chmod(entry.stat().st_mode & ~0o222)
    yield checkout
    for entry in tmp_path.rglob("*"):
        entry.chmod(entry.stat().st_mode | 0o200)


@pytest.fixture
def cell_file(tmp_path: Path, cell: np.ndarray) -> Path:
    path = tmp_path / "cell.png"
    path.write_bytes(encoded(cell, ".png"))
    return path


def leukoscope(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*AS_A_USER, sys.executable, "-m", "leukoscope", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_a_read_only_checkout_predicts_also_after_it_was_moved(
    read_only: Path, tmp_path: Path, cell_file: Path
) -> None:
    def state() -> dict[str, int]:
        return {str(path.relative_to(root)): path.stat().st_mtime_ns for path in root.rglob("*")}

    root = read_only
    before = state()
    predicted = leukoscope(read_only, "predict", str(cell_file), "--csv", str(tmp_path / "scores.csv"))
    assert predicted.returncode == 0, predicted.stderr
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 2
    assert leukoscope(read_only, "champion").stdout.startswith("champion: version 1, a_row")
    refused = leukoscope(read_only, "promote", "1", "--reason", "because")
    assert refused.returncode == 2
    assert "this user may only read" in refused.stderr
    assert refused.stderr.count("\n") == 1
    root = read_only.rename(tmp_path / "moved")
    again = leukoscope(root, "predict", str(cell_file), "--csv", str(tmp_path / "again.csv"))
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "scores.csv").read_bytes()
    assert state() == before
