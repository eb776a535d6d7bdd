"""How a process ends: one line and exit code 2 for the user's mistakes, 1 for ours, a traceback on request."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from leukoscope.core.errors import DataError, LeukoscopeError, run_reporting_errors

ROOT = Path(__file__).parents[2]


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


def test_what_a_terminal_would_act_upon_is_spelled_out(capsys: pytest.CaptureFixture) -> None:
    run_reporting_errors(raising(DataError("\x1b[2J\udce9.png: empty")), debug=False)
    assert capsys.readouterr().err == "error: \\x1b[2J\\udce9.png: empty\n"


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda folder: (folder / ("n" * 300)).touch(), "its name is too long for this system: shorten it"),
        (lambda folder: folder.write_text("x"), "it is a folder where a file is needed"),
        (lambda folder: (folder / "file/below").touch(), "a part of its path is a file"),
        (lambda folder: (folder / "file").replace(folder / "full"), "it is a folder where a file is needed"),
        (lambda folder: (folder / "loop").read_text(), "it is a link that leads to itself"),
    ],
)
def test_a_file_that_the_system_does_not_give_is_one_line(
    write: Callable[[Path], object], message: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "full/of").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    assert run_reporting_errors(lambda: write(tmp_path), debug=False) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {tmp_path}")
    assert message in said
    assert said.count("\n") == 1


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
