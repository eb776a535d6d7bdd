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


def test_every_module_that_a_docstring_or_document_names_is_there() -> None:
    modules = {path.relative_to(SRC / "leukoscope").with_suffix("").as_posix() for path in SRC.rglob("*.py")}
    named = re.compile(rf"`(?:leukoscope\.)?((?:{'|'.join(ROOMS)})(?:\.[a-z_0-9]+)+)")
    texts = [*SRC.rglob("*.py"), *ROOT.glob("stages/*.py"), *ROOT.glob("docs/*.md"), ROOT / "README.md"]
    gone = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in texts
        for name in named.findall(path.read_text(encoding="utf-8"))
        if not name.endswith(".py")
        and not any("/".join(name.split(".")[:parts]) in modules for parts in range(2, name.count(".") + 2))
    ]
    assert not gone
