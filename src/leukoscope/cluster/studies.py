"""Workers of a study on Ray: the same as `leukoscope tune` starts on one machine, on the study's database."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leukoscope.cluster.connection import connected, places
from leukoscope.config.params import Compute, load_params
from leukoscope.core.errors import one_line
from leukoscope.tuning.bench import Bench
from leukoscope.tuning.launch import Start, TaskOf, Workers, start_here
from leukoscope.tuning.worker import Task, work

ENDING_SECONDS = 30  # for an interrupted worker to queue its trial again


def start_of(compute: Compute) -> Start:
    """What starts a study's workers on the engine of `compute`."""
    return ray_workers if compute.engine == "ray" else start_here


@contextmanager
def ray_workers(compute: Compute, task: TaskOf, wanted: int | None, most: int) -> Iterator[Workers]:
    """A Ray task for each worker, which Ray starts again elsewhere when its machine is lost.

    Its trial is then tried again as any other whose process died: the database misses its heartbeats.
    """
    with connected(compute):
        import ray

        count = min(wanted or places(compute), most)
        worker = ray.remote(num_cpus=compute.cpus, num_gpus=compute.gpus, max_calls=1)(_work)
        started = [worker.remote(task(number), Path.cwd()) for number in range(count)]
        try:
            yield _Started(started)
        finally:
            _, left = ray.wait(started, num_returns=count, timeout=0)
            for one in left:
                ray.cancel(one)
            ray.wait(started, num_returns=count, timeout=ENDING_SECONDS if left else 0)


@dataclass(frozen=True)
class _Started:
    """Workers on Ray, by what they will return."""

    results: list[Any]

    def busy(self) -> bool:
        import ray

        return bool(ray.wait(self.results, num_returns=len(self.results), timeout=0)[1])

    def failures(self) -> int:
        return sum(map(_failed, self.results))


def _failed(result: Any) -> bool:
    """Whether a worker that has ended failed; why is shown."""
    import ray

    try:
        ray.get(result)
    except ray.exceptions.RayError as error:
        print(f"error: {one_line(str(getattr(error, 'cause', error)))}", file=sys.stderr)
        return True
    return False


def _work(task: Task, checkout: Path) -> None:
    os.chdir(checkout)
    work(Bench.of(load_params(), task.row, task.fold), task)
