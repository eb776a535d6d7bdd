"""Shards of pictures through Ray Data: a pool of actors reads and crops them, another one holds the model and scores.

Memory is bounded by Ray Data, which starts reading a shard only where there is room for its pictures. What a lost
machine had in hand is read and scored again elsewhere, so a shard's outcome must not depend on how often it is made.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar, cast

from leukoscope.cluster.connection import places, readers
from leukoscope.config.params import Compute

Shard = TypeVar("Shard")
Pictures = TypeVar("Pictures")
Done = TypeVar("Done")


class _Reading(Generic[Shard, Pictures]):
    """An actor that gives a shard's pictures. Rows hold one pickled value, so no shard is divided."""

    def __init__(self, read: Callable[[Shard], Pictures]) -> None:
        self._read = read

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        return {"pictures": pickle.dumps(self._read(pickle.loads(row["shard"])))}


class _Scoring(Generic[Pictures, Done]):
    """An actor: its model is made once."""

    def __init__(self, make: Callable[[], Callable[[Pictures], Done]]) -> None:
        self._score = make()

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        return {"done": pickle.dumps(self._score(pickle.loads(row["pictures"])))}


def streamed(
    shards: Sequence[Shard],
    read: Callable[[Shard], Pictures],
    make: Callable[[], Callable[[Pictures], Done]],
    compute: Compute,
) -> Iterator[Done]:
    """What `make()` returns for the pictures that `read` gives of each shard, as they are finished, in any order.

    `read` is called in one pool's actors, and `make` once in each of the other's; both, and all they give, are pickled.
    """
    import ray

    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # which the line above, as the first of it, has set
    actors = min(places(compute), len(shards))
    # Of one size from beginning to end: a pool that may shrink and grow ends actors that wait, and starts them again.
    reading = ray.data.ActorPoolStrategy(size=min(readers(compute, actors), len(shards)))
    scoring = ray.data.ActorPoolStrategy(size=actors)
    dataset = (
        ray.data.from_items([{"shard": pickle.dumps(shard)} for shard in shards], override_num_blocks=len(shards))
        # No core of their own: what they take beside the scoring is little, and a machine of one core must read, too.
        # Actors, since a machine whose cores are all taken ends each task's process within a second of its task.
        .map(cast(Any, _Reading), fn_constructor_args=[read], num_cpus=0, compute=reading)
        .map(
            cast(Any, _Scoring),
            fn_constructor_args=[make],
            num_cpus=compute.cpus,
            num_gpus=compute.gpus or None,
            compute=scoring,
        )
    )
    for row in dataset.iter_rows():
        yield pickle.loads(row["done"])
