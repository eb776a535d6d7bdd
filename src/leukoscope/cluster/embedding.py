"""A pass over pictures that its memory lacks, on Ray Data: actors read packed pictures, others hold its model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np

from leukoscope.cluster.connection import connected
from leukoscope.cluster.streaming import streamed
from leukoscope.config.params import Compute
from leukoscope.core.files import new_folder
from leukoscope.core.progress import progress
from leukoscope.features.embedding import HERE, Engine, Missing
from leukoscope.features.engine import KerasFeatures, PooledFeatures
from leukoscope.features.keras_loading import load_saved
from leukoscope.features.memory import write_shard

SAVED = Path("keras", "model.keras")  # of a pass, beside its vectors
SHARD = 128  # vectors between two writes, and pictures in an actor's memory: 35 MB of 300 x 300 pixels


@dataclass(frozen=True)
class _Shown:
    """Pictures uint8 [keys, size, size, 3] and the keys of their vectors."""

    keys: list[bytes]
    pictures: np.ndarray


def engine_of(compute: Compute) -> Engine:
    """What runs passes where `compute` says: OpenVINO, or Keras on Ray's GPUs, whose vectors are remembered apart."""
    if compute.engine != "ray":
        return HERE
    return Engine(partial(run_on_ray, compute=compute), {"engine": "keras"} if compute.gpus else {})


def run_on_ray(missing: Missing, compute: Compute) -> None:
    """Run the pass on Ray: an actor writes each shard's vectors into the memory, so what is done is never lost.

    `missing.packed` must be an array in a file, which actors map by its path.
    """
    file = Path(cast(np.memmap, missing.packed).filename or "")
    count = len(missing.keys)
    # Without the array, which would be read and sent as a whole.
    shards = [replace(missing.part(start, SHARD), packed=np.empty(0)) for start in range(0, count, SHARD)]
    model = _saved(missing) if compute.gpus else missing.converted
    make = partial(_Pass, model, missing.size, missing.vectors, compute.cpus)
    with connected(compute), progress("embedding", count, "pictures") as advance:
        for done in streamed(shards, partial(_read, file), make, compute):
            advance(done)


def _saved(missing: Missing) -> Path:
    """The pass's model for Keras, saved beside the converted one: weights are read here, and on no other machine."""
    path = missing.vectors.parent / SAVED
    if not path.exists():
        with new_folder(path.parent) as part:
            missing.source.model().save(part / path.name)
    return path


def _read(file: Path, shard: Missing) -> _Shown:
    whole = replace(shard, packed=np.load(file, mmap_mode="r"))
    return _Shown(shard.keys, np.stack([whole.picture(position) for position in range(len(shard.keys))]))


class _Pass:
    """The pass's model in the file `model`, on OpenVINO with `cpus` cores or on Keras, and its memory's folder."""

    def __init__(self, model: Path, size: int, vectors: Path, cpus: int) -> None:
        on_keras = model.suffix == SAVED.suffix
        self._model = KerasFeatures(load_saved(model)) if on_keras else PooledFeatures(model, size, cpus)
        self._folder = vectors

    def __call__(self, shown: _Shown) -> int:
        pictures = [partial(shown.pictures.__getitem__, at) for at in range(len(shown.keys))]
        write_shard(self._folder, shown.keys, self._model.run(pictures, lambda finished: None))
        return len(shown.keys)
