"""How a process ends: one line and exit code 2 for the user's mistakes, 1 for ours, a traceback on request."""

import subprocess
import sys
from pathlib import Path

import pytest

from leukoscope.errors import DataError, LeukoscopeError, run_reporting_errors

ROOT = Path(__file__).parents[1]


def raising(error: Exception):
    def run() -> None:
        raise error

    return run


@pytest.mark.parametrize(("error", "code"), [(DataError("two\nlines"), 2), (LeukoscopeError("ours"), 1)])
def test_an_error_is_one_line_and_its_code(error: LeukoscopeError, code: int, capsys: pytest.CaptureFixture) -> None:
    assert run_reporting_errors(raising(error), debug=False) == code
    assert capsys.readouterr().err == f"error: {' '.join(str(error).split())}\n"


def test_debug_lets_the_traceback_through() -> None:
    with pytest.raises(DataError):
        run_reporting_errors(raising(DataError("x")), debug=True)


def test_what_is_not_ours_to_word_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_reporting_errors(raising(ZeroDivisionError()), debug=False)


def test_a_stage_ends_like_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("models: {a: {backbone: vgg16, colour: red}}")
    run = subprocess.run(
        [sys.executable, ROOT / "stages/plan.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stderr.startswith("error: params.yaml: models.a.colour: unknown key")
    assert run.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()
