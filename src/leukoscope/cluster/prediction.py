"""Shards of a prediction on Ray Data: actors fetch, decode and frame pictures, others score and write."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from leukoscope.cluster.connection import connected
from leukoscope.cluster.streaming import streamed
from leukoscope.config.params import Compute
from leukoscope.prediction.shards import Finished, Job, Read, RunShards, Shard, read_shard, run_here, score_shard
from leukoscope.registry.champion import Model, Version
from leukoscope.registry.files import MODEL_FILE
from leukoscope.registry.runtime import SCORING_FILE, KerasScorer, Scorer


def run_of(compute: Compute) -> RunShards:
    """What runs shards on the engine of `compute`."""
    return partial(run_on_ray, compute=compute) if compute.engine == "ray" else run_here


def run_on_ray(shards: Sequence[Shard], job: Job, files: Path, *, compute: Compute) -> Iterator[Finished]:
    """Compute shards side by side, with the model among the version's `files`: OpenVINO's, or Keras's on GPUs.

    The model goes to the actors from here, so their machines need neither the checkout nor MLflow's store.
    """
    model = files / (MODEL_FILE if compute.gpus else SCORING_FILE)
    sent = {part.name: part.read_bytes() for part in model.parent.glob(f"{model.stem}.*")}
    make = partial(_Scoring, sent, model.name, job, compute.cpus)
    with connected(compute):
        yield from streamed(shards, partial(read_shard, job=job), make, compute)


class _Scoring:
    """The version with its model, whose files were `sent`, by their names."""

    def __init__(self, sent: dict[str, bytes], model: str, job: Job, cpus: int) -> None:
        self._job = job
        with tempfile.TemporaryDirectory() as folder:
            for name, content in sent.items():
                (Path(folder) / name).write_bytes(content)
            self._champion = job.version.with_model(_loaded(Path(folder) / model, job.version, cpus))

    def __call__(self, read: Read) -> Finished:
        return score_shard(read, self._job, self._champion)


def _loaded(model: Path, version: Version, cpus: int) -> Model:
    return KerasScorer(model) if model.suffix == ".keras" else Scorer(model, version.frame, version.rotations, cpus)
