"""What the machine offers: Python, the locked packages, a GPU."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from leukoscope.core import checkout
from leukoscope.doctor.finding import Finding, ok, to_do, wrong

GPU_QUERY = ("--query-gpu=name,memory.total", "--format=csv,noheader")
GPU_BUILD = "uv sync --no-group cpu --group gpu"
ANSWER_SECONDS = 20  # of a driver that sleeps
NAMED = 3  # packages that differ; the others are counted


def python(version: str = platform.python_version()) -> Finding:
    """Whether this Python is one that pyproject.toml takes."""
    from packaging.specifiers import SpecifierSet

    taken = tomllib.loads((checkout.root() / "pyproject.toml").read_text())["project"]["requires-python"]
    if version not in SpecifierSet(taken):
        return wrong(
            f"{version}, and Leukoscope needs {taken}", "rm -r .venv && make install   # uv finds or fetches one"
        )
    return ok(f"{version} in {_shown(Path(sys.prefix))}")


def packages(environment: Path = Path(sys.prefix)) -> Finding:
    """Whether the environment holds what uv.lock names, by uv's own comparison; what is there besides is no fault."""
    uv = _uv()
    if uv is None:
        return to_do("not compared with uv.lock: uv is neither on the path nor in .uv", "make install")
    build = "gpu" if has_gpu_build() else "cpu"
    words = ["--no-default-groups", "--group", build, "--no-install-project", "--inexact", "--frozen", "--offline"]
    run = subprocess.run(
        [uv, "sync", "--check", *words],
        cwd=checkout.root(),
        env={**os.environ, "UV_PROJECT_ENVIRONMENT": str(environment), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode == 0:
        return ok(f"as uv.lock has them ({build} build of TensorFlow)")
    # A line for each change that uv would make, such as ` + typer==0.27.0`; a change of version has one of each kind.
    changes = [said.split() for said in run.stderr.splitlines() if said.startswith((" + ", " ~ "))]
    differing = [words[1] for words in changes if len(words) == 2]
    if not differing:
        return wrong(f"uv could not compare them: {' '.join(run.stderr.split())[-200:]}", "make install")
    listed = ", ".join(differing[:NAMED]) + (f" and {len(differing) - NAMED} more" if len(differing) > NAMED else "")
    return wrong(f"{_shown(environment)} lacks {listed}, which uv.lock names", "make install")


def _uv() -> str | None:
    """The uv that runs this, the one on the path, or the one that make fetched."""
    fetched = checkout.root() / ".uv/bin/uv"
    found = os.environ.get("UV") or shutil.which("uv")
    return found or (str(fetched) if fetched.exists() else None)


def has_gpu_build() -> bool:
    """Whether TensorFlow's build with CUDA is installed: its libraries are packages of their own."""
    return importlib.util.find_spec("nvidia") is not None


def gpu(built_for_one: bool | None = None) -> Finding:
    """The GPU that NVIDIA's driver names, and whether the installed TensorFlow uses it.

    TensorFlow itself is not asked: importing it takes ten seconds. `built_for_one` stands for what is installed.
    """
    built_for_one = has_gpu_build() if built_for_one is None else built_for_one
    cards, why_not = _cards()
    if cards and built_for_one:
        return ok(cards)
    if cards:
        return to_do(f"{cards}, which the CPU build of TensorFlow does not use", GPU_BUILD)
    if built_for_one:
        return wrong(f"TensorFlow's build for GPUs is installed and {why_not}", "uv sync")
    return ok(f"none ({why_not}): frozen rows need none, finetuned ones take hours on {os.cpu_count()} cores")


def _cards() -> tuple[str, str]:
    """The cards as the driver names them, or why there are none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "", "no nvidia-smi, so no driver of NVIDIA's"
    try:
        run = subprocess.run([program, *GPU_QUERY], capture_output=True, text=True, check=False, timeout=ANSWER_SECONDS)
    except (subprocess.TimeoutExpired, OSError) as error:
        return "", f"nvidia-smi does not answer ({type(error).__name__})"
    cards = "; ".join(run.stdout.split("\n")).strip("; ")
    if run.returncode or not cards:
        return "", f"nvidia-smi names none ({' '.join((run.stdout + run.stderr).split())[:120] or 'it says nothing'})"
    return cards, ""


def _shown(path: Path) -> str:
    """From the checkout's root where it lies below."""
    root = checkout.root()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
