"""What the doctor says of Python, of environments that uv made, and of drivers that answer or do not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from leukoscope.doctor import machine

SITE = Path("lib", f"python{sys.version_info.major}.{sys.version_info.minor}", "site-packages")


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment that holds nothing, made by the uv that the doctor asks."""
    uv = machine._uv() or str(Path(__file__).parents[2] / ".uv/bin/uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "environment"], check=True)
    return tmp_path / "environment"


@pytest.fixture(autouse=True)
def uv_of_this_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders here have no uv of their own: it is the one that runs the tests, or the one that make fetched."""
    fetched = Path(__file__).parents[2] / ".uv/bin/uv"
    if not os.environ.get("UV") and not shutil.which("uv"):
        monkeypatch.setenv("UV", str(fetched))


def test_the_python_that_runs_this_is_taken_and_an_older_or_newer_one_is_not(checkout: Path) -> None:
    assert machine.python().mark == "ok"
    for version in ("3.10.14", "3.14.0"):
        found = machine.python(version)
        assert (found.mark, version in found.words, "make install" in found.mend) == ("WRONG", True, True)


def test_the_environment_that_runs_this_is_the_locked_one(checkout: Path) -> None:
    assert machine.packages().mark == "ok", machine.packages()


def test_an_empty_environment_names_what_it_lacks_and_how_to_install_it(checkout: Path, environment: Path) -> None:
    found = machine.packages(environment)
    assert (found.mark, found.mend) == ("WRONG", "make install")
    assert "more, which uv.lock names" in found.words


def test_one_package_of_another_version_is_named_with_the_locked_one(checkout: Path, environment: Path) -> None:
    here = Path(sys.prefix) / SITE
    for folder in here.glob("*.dist-info"):
        shutil.copytree(folder, environment / SITE / folder.name)
    typer = next((environment / SITE).glob("typer-*.dist-info"))
    locked = typer.name.removeprefix("typer-").removesuffix(".dist-info")
    typer.rename(typer.with_name("typer-0.1.0.dist-info"))
    said = typer.with_name("typer-0.1.0.dist-info") / "METADATA"
    said.write_text(said.read_text().replace(f"Version: {locked}", "Version: 0.1.0"))
    found = machine.packages(environment)
    assert (found.mark, found.mend) == ("WRONG", "make install")
    assert f"lacks typer=={locked}, which uv.lock names" in found.words


def test_without_uv_the_packages_are_not_compared_and_it_says_so(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    assert machine.packages().mark == "to do"


def driver(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put an nvidia-smi that does this first on the path."""
    folder.mkdir()
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_a_gpu_that_the_cpu_build_leaves_idle_says_how_to_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(tmp_path / "bin", "echo 'NVIDIA H100 80GB HBM3, 81559 MiB'", monkeypatch)
    found = machine.gpu(built_for_one=False)
    assert (found.mark, found.mend) == ("to do", machine.GPU_BUILD)
    assert found.words.startswith("NVIDIA H100 80GB HBM3, 81559 MiB")
    assert machine.gpu(built_for_one=True) == ("ok", "NVIDIA H100 80GB HBM3, 81559 MiB", "")


def test_a_driver_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "echo 'NVIDIA-SMI has failed because it could not talk to the driver'; exit 9"
    driver(tmp_path / "bin", script, monkeypatch)
    assert "could not talk to the driver" in machine.gpu(built_for_one=False).words
    broken = machine.gpu(built_for_one=True)
    assert (broken.mark, broken.mend) == ("WRONG", "uv sync")


def test_no_driver_is_no_fault_of_the_cpu_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert machine.gpu(built_for_one=False).mark == "ok"
