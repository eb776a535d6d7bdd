"""A checkout of this project in another folder, as `git clone` would make it, and its commands as a user types them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.pipeline.connections import Connections

ROOT = Path(__file__).parents[2]
BINARIES = Path(sys.executable).parent

# Small enough for a test, large enough that every stage has work: the fewest groups that three folds take.
TINY: dict[str, Any] = {
    "fetch": {
        "source": "synthetic",
        "name": "tiny",
        "synthetic": {
            "subjects_all": 7,
            "subjects_hem": 6,
            "images_per_subject": 8,
            "prelim_subjects": 4,
            "prelim_images_per_subject": 3,
            "final_images": 2,
            # Classes alike in size and far apart in texture: area alone is worth nothing, so a row passes the gate.
            "size_difference": 0,
            "texture_difference": 12,
        },
    },
    "split": {"folds": 3},
    "protocols": ["subject", "image"],
    "model_defaults": {"weights": "none", "frame": 300, "size": 64, "views": 1, "width": 32},
    "models": {
        "modified_mobilenet": {"backbone": "mobilenetv2"},
        "mobilenetv2": {"backbone": "mobilenetv2", "pooling": "avg", "head": "plain"},
    },
    "train": {"epochs": 6},
    "evaluate": {"bootstrap": 100},
    "register": {"min_sensitivity": 0},
}


@dataclass
class Checkout:
    """A folder with the project's files, committed in a repository of its own.

    Where `connections` is set, it records those of the commands.
    """

    folder: Path
    connections: Connections | None = None

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder with the test's own Python first on the path."""
        run = subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment(), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or run.returncode == 0, f"{command} ended with {run.returncode}:\n{run.stdout}\n{run.stderr}"
        return run

    def environment(self) -> dict[str, str]:
        """What a command in the folder is started with."""
        known = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_"))}
        path = f"{BINARIES}{os.pathsep}{os.environ['PATH']}"
        found = {**known, "PATH": path, "PYTHONPATH": str(self.folder / "src")}
        return self.connections.noting(found) if self.connections else found

    def leukoscope(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the product's own command line."""
        return self.run(sys.executable, "-m", "leukoscope", *words, check=check)

    def stale(self) -> dict[str, Any]:
        """The stages that `dvc status` names, each with what changed."""
        import json

        return json.loads(self.run("dvc", "status", "--json").stdout)

    def params(self) -> dict[str, Any]:
        """params.yaml as it stands."""
        return yaml.safe_load((self.folder / "params.yaml").read_text())

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Replace params.yaml."""
        (self.folder / "params.yaml").write_text(yaml.safe_dump(dict(params), sort_keys=False))


def tiny_checkout(folder: Path, **sections: Any) -> Checkout:
    """The project's files, tracked or not yet, in `folder`, with params of a pipeline that runs in a minute or two.

    `sections` of params.yaml stand in place of those.
    """
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    made = Checkout(folder)
    made.set_params(_merged(made.params(), TINY) | sections)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "a checkout"]):
        made.run("git", "-c", "user.name=someone", "-c", "user.email=someone@example.org", *words)
    return made


def _merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `change`, section by section; `models` is replaced as a whole."""
    merged = dict(base)
    for key, value in change.items():
        deeper = isinstance(value, Mapping) and isinstance(base.get(key), Mapping) and key != "models"
        merged[key] = _merged(base[key], value) if deeper else value
    return merged
