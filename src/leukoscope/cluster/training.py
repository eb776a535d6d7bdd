"""The whole matrix of rows and protocols, trained and evaluated side by side: one Ray task each.

A task runs the stages' own scripts in the checkout, so results are where, and what, `dvc repro` makes them; DVC is told
of each as it is finished.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from leukoscope.cluster.connection import connected
from leukoscope.config.params import Compute, Params
from leukoscope.core.errors import ConfigError, UserError
from leukoscope.core.progress import progress

STAGES = ("train", "evaluate")


class Pair(NamedTuple):
    """A row under a protocol."""

    row: str
    protocol: str

    @property
    def stages(self) -> list[str]:
        """What dvc.yaml calls them."""
        return [f"{stage}@{self.row}-{self.protocol}" for stage in STAGES]


class Trained(NamedTuple):
    """How many pairs were trained and evaluated, of how many; the others were up to date."""

    pairs: int
    of: int


def train_rows(params: Params, rows: Sequence[str]) -> Trained:
    """Train and evaluate rows under every protocol of params.yaml, as far as `dvc status` finds it undone.

    What they read is made by `dvc repro` first. A pair that fails does not keep the others from being finished; then
    its error is raised. Raises ConfigError unless `compute.engine` is ray.
    """
    if params.compute.engine != "ray":
        raise ConfigError("leukoscope train needs compute.engine: ray; without it run uv run dvc repro evaluate")
    _dvc("repro", "--quiet", "split", *(f"embed@{row}" for row in rows))
    pairs = [Pair(row, protocol) for row in rows for protocol in params.protocols]
    changed = json.loads(_dvc("status", "--json", *(stage for pair in pairs for stage in pair.stages)))
    undone = [pair for pair in pairs if changed.keys() & set(pair.stages)]
    if undone:
        _side_by_side(undone, params.compute)
    return Trained(len(undone), len(pairs))


def _side_by_side(pairs: Sequence[Pair], compute: Compute) -> None:
    with connected(compute), progress("training", len(pairs), "rows and protocols") as advance:
        import ray

        task = ray.remote(num_cpus=compute.cpus, num_gpus=compute.gpus, max_calls=1)(_train_and_evaluate)
        # As an argument, since Ray writes a runtime environment, and so any password in it, into its logs.
        environment = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_")}
        running = {task.remote(pair, Path.cwd(), environment): pair for pair in pairs}
        failures: list[ray.exceptions.RayError] = []
        while running:
            (ended,), _ = ray.wait(list(running), num_returns=1)
            pair = running.pop(ended)
            try:
                ray.get(ended)
                _dvc("commit", "--quiet", "--force", *pair.stages)
            except ray.exceptions.RayError as error:
                failures.append(error)
            advance(1)
        if failures:
            raise failures[0]


def _train_and_evaluate(pair: Pair, checkout: Path, environment: Mapping[str, str]) -> None:
    """What `dvc repro` runs for the pair, in a process that ends with it."""
    os.chdir(checkout)
    os.environ.update(environment)
    sys.path.insert(0, str(checkout / "stages"))
    for stage, name in zip(STAGES, pair.stages, strict=True):
        os.environ["DVC_STAGE"] = name
        importlib.import_module(stage).run(*pair)


def _dvc(*words: str) -> str:
    """What a command of DVC's writes to stdout. Raises UserError where it fails; it has said why on stderr."""
    ran = subprocess.run([sys.executable, "-m", "dvc", *words], stdout=subprocess.PIPE, text=True, check=False)
    if ran.returncode:
        raise UserError(f"dvc {words[0]} ended with {ran.returncode}; what it said stands above")
    return ran.stdout
