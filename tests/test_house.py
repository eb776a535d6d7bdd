"""The house: a room imports only from rooms below it, there is no circle, and docs/architecture.md has every room."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
DOORS = ("__main__", "cli", "api")  # loose modules: the command line and what notebooks import


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """What import-linter says of the package below `folder`, by the contracts in pyproject.toml."""
    command = [str(Path(sys.executable).with_name("lint-imports")), str(ROOT / "pyproject.toml"), "--no-cache"]
    environment = {"PYTHONPATH": str(folder), "PATH": str(Path(sys.executable).parent)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
