"""Every command of the README, of the guide and of each `--help`, run in a small checkout after its `dvc repro`.

What needs a network, a person, a real data set or hours is run in the form that REDUCED says, and in no other.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.fixtures.checkout import BINARIES, TINY, Checkout, tiny_checkout
from tests.fixtures.connections import Connections
from tests.fixtures.running import BOUNDARY, answered, form
from tests.fixtures.shown_commands import commands_of, examples

pytestmark = pytest.mark.slow

SERVERS = {"ui": "/health", "dashboard": "/dashboard/", "serve": "/health"}  # started, asked, and interrupted
# A shown command: what is run instead, and why.
REDUCED = {
    "make demo": ("dvc repro --quiet && leukoscope summary", "its two commands; installing is not this test's"),
    "make test": ("pytest -q tests/test_house.py", "one file; the whole of it is what runs beside this test"),
    "make ui": ("leukoscope ui", "its command"),
    "make dashboard": ("leukoscope dashboard", "its command"),
    "dvc repro": ("dvc repro -f -s report", "the fixture runs the whole of it, and this a stage of it again"),
    "dvc exp run -S +models.modified_mobilenet.dropout=0.4": (
        "dvc exp run -s plan -S +models.modified_mobilenet.dropout=0.4",
        "one stage of it; tests/pipeline/test_pipeline.py runs an experiment to its end",
    ),
    "uv sync --extra cluster": ("ray --version", "what it installs; installing is not this test's"),
    "ray start --head --port=6379": ("ray start --help", "tests/cluster starts nodes"),
    "leukoscope predict data/raw/images --parquet scores --engine ray": (
        "leukoscope predict data/raw/images --parquet scores --engine local",
        "tests/cluster predicts on Ray",
    ),
    "open reports/index.html": ("test -s reports/index.html", "no browser of a person's"),
    "leukoscope tune modified_mobilenet --trials 50": (
        "leukoscope tune modified_mobilenet --trials 2 --workers 1",
        "2 trials instead of 50",
    ),
    "leukoscope tune modified_mobilenet --trials 50 --apply": (
        "leukoscope tune modified_mobilenet --trials 2 --workers 1 --apply",
        "2 trials instead of 50",
    ),
    "leukoscope tune modified_mobilenet --trials 10": (
        "leukoscope tune modified_mobilenet --trials 2 --workers 1",
        "2 trials instead of 10",
    ),
    'leukoscope promote 2 --reason "better on our own smears"': (
        'leukoscope promote 1 --reason "better on our own smears"',
        "a checkout of one run has version 1",
    ),
    "leukoscope explain data/raw/images/C-NMC_Leukemia/validation_data": (
        "leukoscope explain data/raw/images/C-NMC_Leukemia/validation_data/*/[12].png",
        "2 images instead of 12",
    ),
}
# Those that end in an error of the user's in a checkout of one run, and what they say.
ENDS_IN = {
    "leukoscope rollback": "has no champion before version 1 to go back to",
    "leukoscope train --all": "needs compute.engine: ray; without it run uv run dvc repro evaluate",
}
# In the order in which a person comes by them: what changes params.yaml or the champion is last.
LAST = ("--apply", "profile", "promote", "rollback", "git add", "exp run", "metrics diff", "exp show")

SHOWN = {
    command.replace("uv run ", "") for document in ("README.md", "docs/guide.md") for command in commands_of(document)
}
EVERY = sorted(  # a set has another order in each process
    SHOWN | set(examples().values()),
    key=lambda command: (next((place for place, word in enumerate(LAST, 1) if word in command), 0), command),
)


@pytest.fixture(scope="module")
def connections(tmp_path_factory: pytest.TempPathFactory) -> Connections:
    """The connections of all commands that run in the checkout."""
    return Connections(tmp_path_factory.mktemp("connections"))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, connections: Connections) -> Checkout:
    """A checkout after `dvc repro` and a study, so that there are a champion, runs, and a dashboard to open.

    One row under one protocol: what the commands say of more has tests of its own.
    """
    one = {"modified_mobilenet": TINY["models"]["modified_mobilenet"]}
    folder = tmp_path_factory.mktemp("shown") / "checkout"
    made = tiny_checkout(folder, protocols=["subject"], models=one, ensembles={})
    made.connections = connections
    made.run("git", "config", "user.name", "someone")
    made.run("git", "config", "user.email", "someone@example.org")
    made.run("dvc", "repro")
    made.leukoscope("tune", "modified_mobilenet", "--trials", "2", "--workers", "1")
    return made


def test_every_reduced_form_is_of_a_command_that_is_shown() -> None:
    assert set(REDUCED) | set(ENDS_IN) <= set(EVERY)


@pytest.mark.parametrize("command", EVERY)
def test_a_shown_command_runs_and_asks_no_other_machine(
    command: str, checkout: Checkout, connections: Connections
) -> None:
    connections.forget()
    run_as_shown(command, checkout)
    assert connections.outward() == []
    if "leukoscope" in command:
        assert any("leukoscope" in noted for noted in connections.commands())


def test_a_notebook_asks_no_other_machine(checkout: Checkout, connections: Connections) -> None:
    connections.forget()
    code = "from leukoscope import load_champion; load_champion().predict('data/raw/images')"
    checkout.run(sys.executable, "-c", code)
    assert connections.outward() == []
    assert connections.commands()


def run_as_shown(command: str, checkout: Checkout) -> None:
    """Run a shown command, or its reduced form, to the end that it should have."""
    run, _ = REDUCED.get(command, (command, ""))
    server = re.fullmatch(r"leukoscope (ui|dashboard|serve)\b.*", run)
    if server:
        answers_and_ends(shlex.split(run), SERVERS[server[1]], checkout)
        return
    if "profile" in run:  # refuses edits that git does not hold
        checkout.run("git", "checkout", "-q", "--", "params.yaml")
    ran = checkout.run("bash", "-c", run, check=False)
    if command in ENDS_IN:
        assert (ran.returncode, ENDS_IN[command] in ran.stderr) == (2, True), ran.stderr
    else:
        assert ran.returncode == 0, f"{run}\n{ran.stdout[-2000:]}\n{ran.stderr[-2000:]}"
    if "profile" in run:
        checkout.run("git", "checkout", "-q", "--", "params.yaml")


def answers_and_ends(words: list[str], path: str, checkout: Checkout) -> None:
    """Start a server on a free port, ask it, and end it as Ctrl-C does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    if "--port" in words:
        del words[words.index("--port") : words.index("--port") + 2]
    command = [str(BINARIES / words[0]), *words[1:], "--port", str(port)]
    process = subprocess.Popen(command, cwd=checkout.folder, env=checkout.environment(), start_new_session=True)
    try:
        until_it_answers(f"http://127.0.0.1:{port}{path}", process)
        if words[0:2] == ["leukoscope", "serve"]:
            assert scored(port, next((checkout.folder / "data/raw/images").rglob("*.png"))) == 200
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def scored(port: int, picture: Path) -> int:
    """The status of a picture's scores."""
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    body = form([(picture.name, picture.read_bytes())])
    status, _ = answered(urllib.request.Request(f"http://127.0.0.1:{port}/predict", body, headers))
    return status


def until_it_answers(address: str, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 300
    while True:
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                assert answer.status == 200
                return
        except OSError:
            assert process.poll() is None, f"ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{address} does not answer"
            time.sleep(0.5)


def test_long_stages_show_bars_on_a_terminal_through_dvc(checkout: Checkout) -> None:
    from tests.fixtures.terminal import frames, on_terminal

    command = [sys.executable, "-m", "dvc", "repro", "-f", "-s", "pack", "train@modified_mobilenet-subject"]
    code, written = on_terminal(command, checkout.folder, checkout.environment())
    assert code == 0, written[-2000:]
    drawn = frames(written)
    assert any(re.search(r"training .*━.* of [\d,]+ epochs", line) for line in drawn), drawn[-20:]
    assert any(re.match(r"packing: [\d,]+ images in ", line) for line in drawn)
    assert any(re.match(r"train modified_mobilenet subject: done in .*, wrote models/", line) for line in drawn)


def test_a_stage_that_is_run_by_hand_says_what_to_do_next(checkout: Checkout) -> None:
    ran = checkout.run(sys.executable, "stages/plan.py")
    assert re.search(r"plan: done in \d+ s, wrote data/plan; next: uv run dvc repro", ran.stderr)


def test_the_doctor_finds_nothing_wrong_after_a_run(checkout: Checkout) -> None:
    ran = checkout.leukoscope("doctor")
    assert "is champion, its files whole" in ran.stdout
    assert "WRONG" not in ran.stdout


def test_the_card_of_the_champion_is_a_page(checkout: Checkout, tmp_path: Path) -> None:
    text = checkout.leukoscope("card").stdout
    assert text.startswith("# Model card: ")
    assert "SYNTHETIC CELLS" in text
