"""Shards of pictures through Ray Data: read and cropped by tasks, scored by a pool of actors that hold the model.

Memory is bounded by Ray Data, which starts reading a shard only where there is room for its pictures. What a lost
machine had in hand is read and scored again elsewhere, so a shard's outcome must not depend on how often it is made.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar, cast

from leukoscope.cluster.connection import places
from leukoscope.config import Compute

Shard = TypeVar("Shard")
Pictures = TypeVar("Pictures")
Done = TypeVar("Done")


def _reading(row: dict[str, bytes], read: Callable[[Shard], Pictures]) -> dict[str, bytes]:
    """A task: a shard's pictures. Rows hold one pickled value, so no shard is divided."""
    return {"pictures": pickle.dumps(read(pickle.loads(row["shard"])))}


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

    `read` is called in tasks and `make` once in each actor; both, and all that they give, are pickled.
    """
    import ray

    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # which the line above, as the first of it, has set
    actors = min(places(compute), len(shards))
    dataset = (
        ray.data.from_items([{"shard": pickle.dumps(shard)} for shard in shards], override_num_blocks=len(shards))
        # No core of their own: what they take beside the scoring is little, and a machine of one core must read, too.
        .map(cast(Any, _reading), fn_args=[read], num_cpus=0, compute=ray.data.TaskPoolStrategy(actors))
        .map(
            cast(Any, _Scoring),
            fn_constructor_args=[make],
            num_cpus=compute.cpus,
            num_gpus=compute.gpus or None,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=actors, initial_size=actors),
        )
    )
    for row in dataset.iter_rows():
        yield pickle.loads(row["done"])
