"""`leukoscope doctor` as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.doctor.test_machine import uv_of_this_checkout  # noqa: F401
from tests.fixtures.unprivileged import AS_A_USER

SRC = Path(__file__).parents[2] / "src"
DOCTOR = [sys.executable, "-m", "leukoscope", "doctor"]
THINGS = ["Python", "packages", "GPU", "params.yaml", "disk", "weights", "data", "tracking store", "registry"]


def run(*before: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*before, *DOCTOR], capture_output=True, text=True, check=False)


@pytest.fixture(autouse=True)
def own_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(SRC))


def test_a_fresh_clone_has_a_line_for_each_thing_and_exit_code_0(checkout: Path) -> None:
    ran = run()
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = [line for line in ran.stdout.splitlines() if not line.startswith(" ")]
    assert [line[7 : 7 + 14].strip() for line in lines[:-1]] == THINGS
    assert lines[-1] == "nothing is wrong; to do: data, tracking store, registry"
    assert not list(checkout.glob("mlruns*"))


def test_what_is_wrong_is_named_at_the_end_with_exit_code_2(checkout: Path) -> None:
    (checkout / "mlruns").mkdir()
    (checkout / "mlruns/mlflow.db").write_bytes(b"no database" * 1000)
    ran = run()
    assert ran.returncode == 2
    assert ran.stderr == "error: 1 of 9 are wrong: tracking store\n"
    assert f"-> mv '{checkout}/mlruns/mlflow.db'" in ran.stdout


def test_mistakes_in_params_yaml_are_lines_and_the_machine_was_looked_at(checkout: Path) -> None:
    (checkout / "params.yaml").write_text((checkout / "params.yaml").read_text().replace("folds: 5", "flods: 5", 1))
    ran = run()
    assert ran.returncode == 2
    assert "split.flods: unknown key" in ran.stdout
    assert "packages" in ran.stdout
    assert ran.stderr == "error: 1 of 4 are wrong: params.yaml\n"


def test_outside_of_a_checkout_it_says_where_to_run_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run()
    assert ran.returncode == 2
    assert "run this in the root of the checkout" in ran.stdout + ran.stderr


def test_a_checkout_that_may_only_be_read_is_wrong_and_enough_to_predict(checkout: Path) -> None:
    checkout.chmod(0o555)
    try:
        ran = run(*AS_A_USER)
    finally:
        checkout.chmod(0o755)
    assert ran.returncode == 2
    assert "may only read" in ran.stdout
    assert "enough to predict" in ran.stdout
