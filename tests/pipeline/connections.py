"""Notes of every connection that a test's processes make: those of Python code and those of C code.

The folder `connected` has both recorders. The one for C code is compiled here, on Linux where a compiler is installed;
with CI set, a missing compiler fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.pipeline.connected.sitecustomize import is_outward

FOLDER = Path(__file__).with_name("connected")
SOURCE = FOLDER / "connections.c"
# Packages that report to their makers are silent in CI and tests, which they know by these; a user has none of them.
SILENCING = {
    "BITBUCKET_BUILD_NUMBER",
    "BUILDKITE",
    "CI",
    "CIRCLECI",
    "CLOUD_RUN_EXECUTION",
    "CODEBUILD_BUILD_ARN",
    "DO_NOT_TRACK",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "GX_ANALYTICS_ENABLED",
    "HF_HUB_DISABLE_TELEMETRY",
    "JENKINS_URL",
    "MLFLOW_DISABLE_TELEMETRY",
    "NO_ANALYTICS",
    "PYTEST_CURRENT_TEST",
    "TEAMCITY_VERSION",
    "TF_BUILD",
    "TRAVIS",
}


@dataclass(frozen=True)
class Note:
    """A call, its address (empty at a process's start), and the command line of its process."""

    call: str
    address: str
    command: str


class Connections:
    """A log in a new `folder` of the processes that start with an environment from `noting`."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "connections.tsv"
        self._preloaded = {}
        if notes_c():
            library = folder / "connections.so"
            subprocess.run(["cc", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
            self._preloaded["LD_PRELOAD"] = str(library)

    def noting(self, environment: Mapping[str, str]) -> dict[str, str]:
        """`environment` with both recorders in it, and without the variables that silence packages."""
        kept = {name: value for name, value in environment.items() if name not in SILENCING}
        path = os.pathsep.join(filter(None, [str(FOLDER), environment.get("PYTHONPATH")]))
        return {**kept, **self._preloaded, "PYTHONPATH": path, "CONNECTIONS_LOG": str(self.log)}

    def notes(self) -> list[Note]:
        """What was noted since the last `forget`."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return [Note(*line.split("\t")) for line in lines]

    def commands(self) -> set[str]:
        """The command lines of the Python processes."""
        return {note.command for note in self.notes() if note.call == "start"}

    def outward(self) -> list[Note]:
        """Connections and name look-ups that leave this machine."""
        return [note for note in self.notes() if is_outward(note.address)]

    def forget(self) -> None:
        """Begin anew."""
        self.log.unlink(missing_ok=True)


def notes_c() -> bool:
    """Whether connections of C code are noted too."""
    return sys.platform == "linux" and (shutil.which("cc") is not None or bool(os.environ.get("CI")))
