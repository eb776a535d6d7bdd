"""Commands that people are shown are written as the program takes them; `tests/pipeline/` runs them."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest

from tests.fixtures.checkout import ROOT
from tests.fixtures.shown_commands import DOCUMENTS, commands_of, examples, programs

LEUKOSCOPE = [
    (where, command.removeprefix("uv run "))
    for where, shown in [
        *((document, commands_of(document)) for document in DOCUMENTS),
        ("--help", list(examples().values())),
    ]
    for command in shown
    if "leukoscope " in command.split("curl")[0]
]


def test_there_are_commands_to_look_at() -> None:
    assert len(LEUKOSCOPE) > 30


@pytest.mark.parametrize(("where", "command"), LEUKOSCOPE, ids=lambda words: words[:60])
def test_a_shown_command_has_options_and_arguments_that_are_known(where: str, command: str) -> None:
    program, name, *words = shlex.split(command)
    assert program == "leukoscope"
    programs()[name].make_context(name, words, resilient_parsing=False)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_shown_target_of_make_is_there(document: str) -> None:
    known = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    shown = re.findall(r"\bmake ([a-z-]+)", " ".join(commands_of(document)))
    assert set(shown) <= set(known)


def test_the_readmes_first_screen_has_the_demo_the_tests_and_a_picture() -> None:
    first = (ROOT / "README.md").read_text().split("\n## ")[0].split("![")
    assert [line.split("#")[0].strip() for line in re.findall(r"^make .*", first[0], re.MULTILINE)] == [
        "make demo",
        "make test",
        "make ui",
    ]
    assert first[1].count("](docs/figures/report.png)") == 1
    assert (ROOT / "docs/figures/report.png").stat().st_size < 200_000


def test_make_runs_what_the_tests_run() -> None:
    """`make demo`, `ui`, `dashboard` and `test` are these commands, which tests run in their places."""

    def of(target: str) -> str:
        return subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "dvc repro --quiet" in of("demo")
    assert "leukoscope summary" in of("demo")
    assert "leukoscope ui" in of("ui")
    assert "leukoscope dashboard" in of("dashboard")
    assert 'pytest -q -n 2 --dist loadfile -m "not slow"' in of("test")
