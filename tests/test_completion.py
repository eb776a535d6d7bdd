"""Shell completion, in real shells."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BINARIES = Path(sys.executable).parent
ROOT = Path(__file__).parents[1]
# What bash does when a person presses Tab: the function that was registered for the word sees the line so far.
TAB = """
eval "$(leukoscope --show-completion)"
complete -p leukoscope >/dev/null || exit 9
registered=$(complete -p leukoscope); function=${registered##*-F }; function=${function%% *}
COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_LINE="${COMP_WORDS[*]}"; COMP_POINT=${#COMP_LINE}
$function leukoscope
printf '%%s\\n' "${COMPREPLY[@]}"
"""


def environment(home: Path) -> dict[str, str]:
    return {
        **os.environ,
        "HOME": str(home),
        "PATH": f"{BINARIES}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
    }


def completed(words: str, home: Path, folder: Path = ROOT) -> list[str]:
    ran = subprocess.run(
        ["bash", "--norc", "-c", TAB % words], cwd=folder, env=environment(home), capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def test_bash_completes_commands(tmp_path: Path) -> None:
    assert completed("leukoscope pr", tmp_path) == ["predict", "promote", "profile"]


def test_bash_completes_options(tmp_path: Path) -> None:
    assert completed("leukoscope tune --no", tmp_path) == []
    assert completed("leukoscope tune --ne", tmp_path) == ["--nested"]


def test_bash_completes_rows_of_this_checkout_and_none_outside(tmp_path: Path) -> None:
    assert completed("leukoscope tune modified", tmp_path) == ["modified_mobilenet"]
    assert completed("leukoscope tune modified", tmp_path, folder=tmp_path) == []


def test_bash_completes_profiles(tmp_path: Path) -> None:
    assert sorted(completed("leukoscope profile cn", tmp_path)) == ["cnmc", "cnmc-frozen"]


def test_installing_it_makes_a_new_bash_complete(tmp_path: Path) -> None:
    command = ["bash", "-c", "leukoscope --install-completion; exit $?"]
    ran = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, check=True)
    assert "installed" in ran.stdout
    asked = "source ~/.bashrc; complete -p leukoscope"
    again = subprocess.run(
        ["bash", "--norc", "-c", asked], env=environment(tmp_path), capture_output=True, text=True, check=True
    )
    assert "leukoscope" in again.stdout


@pytest.mark.parametrize(
    ("shell", "begins"), [("zsh", "#compdef leukoscope"), ("fish", "complete --command leukoscope")]
)
def test_other_shells_have_a_script_of_their_own(shell: str, begins: str, tmp_path: Path) -> None:
    """Read by the shell itself where it is installed; its form everywhere."""
    asked = {**environment(tmp_path), "_LEUKOSCOPE_COMPLETE": f"source_{shell}"}
    ran = subprocess.run(["leukoscope"], env=asked, capture_output=True, text=True, check=True)
    assert ran.stdout.lstrip().startswith(begins)
    if shutil.which(shell):
        subprocess.run([shell, "-n", "-c", ran.stdout], check=True)
