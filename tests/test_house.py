"""The house: a room imports only from rooms below it, there is no circle, and docs/architecture.md has every room."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
ROOMS: list[str] = next(contract["layers"] for contract in CONTRACTS if contract["id"] == "rooms")


def linted(src: Path) -> subprocess.CompletedProcess[str]:
    """What import-linter says of the package in `src`, by the contracts of pyproject.toml."""
    command = [str(Path(sys.executable).with_name("lint-imports")), str(ROOT / "pyproject.toml"), "--no-cache"]
    return subprocess.run(command, env={"PYTHONPATH": str(src)}, capture_output=True, text=True, check=False)


def test_every_import_runs_down_and_none_in_a_circle() -> None:
    said = linted(SRC)
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        (
            "core/files.py",
            "from leukoscope.config.params import load_params",
            "A room imports only from rooms below it",
        ),
        ("core/files.py", "if TYPE_CHECKING:\n    from leukoscope.registry.gate import gate", "rooms below it"),
        ("data/synthetic/cells.py", "from leukoscope.data.splits import leaks", "Inside data"),
        ("training/task.py", "from leukoscope.training.training import Training", "No import circle"),
        ("loose.py", '"""A module that has no room."""', "loose"),
    ],
)
def test_what_breaks_the_rule_is_told(module: str, line: str, broken: str, tmp_path: Path) -> None:
    shutil.copytree(SRC, tmp_path / "src")
    with (tmp_path / "src/leukoscope" / module).open("a") as file:
        file.write(f"\n{line}\n")
    said = linted(tmp_path / "src")
    assert said.returncode != 0
    assert broken in said.stdout + said.stderr


def test_the_page_of_the_house_has_every_room_in_its_order() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    named = [
        name for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for name in re.findall(r"`([\w.]+?)[/`]", row)
    ]
    rooms = [name.removesuffix(".py") for name in named if name.removesuffix(".py") in ROOMS]
    assert rooms == ROOMS[::-1]


def test_every_path_that_the_page_names_is_there() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    paths = set(re.findall(r"`((?:[\w.]+/)+[\w.]*)`", page))
    gone = [path for path in paths if not any((base / path).exists() for base in (ROOT, SRC / "leukoscope"))]
    assert not gone


def test_what_a_docstring_or_document_names_is_in_its_module() -> None:
    named = re.compile(rf"`(?:leukoscope\.)?((?:{'|'.join(ROOMS)})(?:\.[A-Za-z_0-9]+)+)")
    texts = [*SRC.rglob("*.py"), *ROOT.glob("stages/*.py"), *ROOT.glob("docs/*.md"), ROOT / "README.md"]
    gone = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in texts
        for name in named.findall(path.read_text(encoding="utf-8"))
        if not name.endswith(".py") and not is_there(name)
    ]
    assert not gone


def is_there(name: str) -> bool:
    """Whether `room.module` is a module, and what follows a name in it."""
    parts = name.split(".")
    for length in range(len(parts), 1, -1):
        module = SRC / "leukoscope" / "/".join(parts[:length])
        files = [file for file in (module.with_suffix(".py"), module / "__init__.py") if file.exists()]
        if files:
            return all(re.search(rf"\b{part}\b", files[0].read_text(encoding="utf-8")) for part in parts[length:])
    return False
