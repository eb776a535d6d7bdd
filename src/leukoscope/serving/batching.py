"""Batches across requests: what waits is computed together, a picture of each request in turn.

Nothing is waited for on purpose: while one batch is computed the next one gathers. A lone picture starts at once, and
one that comes behind a folder of pictures is in the next batch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass
class _Job(Generic[Item, Answer]):
    """The items of one request: those that no batch has taken yet, and the answers that are there."""

    items: Sequence[Item]
    done: asyncio.Future[None]
    taken: int = 0
    answers: dict[int, Answer] = field(default_factory=dict)


class Batcher(Generic[Item, Answer]):
    """Runs `compute` on up to `at_most` items at a time, in a thread of its own; use it from one event loop."""

    def __init__(self, compute: Callable[[list[Item]], Sequence[Answer]], at_most: int, name: str = "batches") -> None:
        """`compute` gives an answer for each item, in their order."""
        self._compute = compute
        self._at_most = at_most
        self._jobs: deque[_Job[Item, Answer]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._running: asyncio.Task[None] | None = None

    async def answers(self, items: Sequence[Item]) -> list[Answer]:
        """The answers to `items`, in their order. Who is cancelled leaves nothing behind that waits.

        Raises what `compute` raised for a batch with one of these items.
        """
        if not items:
            return []
        job: _Job[Item, Answer] = _Job(items, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        try:
            await job.done
        finally:
            job.taken = len(items)
        return [job.answers[position] for position in range(len(items))]

    async def _run(self) -> None:
        """Compute batch after batch until nothing waits."""
        loop = asyncio.get_running_loop()
        try:
            while batch := self._next_batch():
                try:
                    answers = await loop.run_in_executor(
                        self._thread, self._compute, [job.items[position] for job, position in batch]
                    )
                except Exception as error:
                    for job, _ in batch:
                        if not job.done.done():
                            job.done.set_exception(error)
                    continue
                for (job, position), answer in zip(batch, answers, strict=True):
                    job.answers[position] = answer
                    if len(job.answers) == len(job.items) and not job.done.done():
                        job.done.set_result(None)
        finally:
            self._running = None

    def _next_batch(self) -> list[tuple[_Job[Item, Answer], int]]:
        """Up to `at_most` items that wait: one of each job in turn."""
        batch: list[tuple[_Job[Item, Answer], int]] = []
        while self._jobs and len(batch) < self._at_most:
            job = self._jobs.popleft()
            if job.done.done() or job.taken == len(job.items):  # its request was cancelled, or has failed
                continue
            batch.append((job, job.taken))
            job.taken += 1
            if job.taken < len(job.items):
                self._jobs.append(job)
        return batch

    def close(self) -> None:
        """Let the thread end, after the batch that it computes."""
        self._thread.shutdown(wait=False, cancel_futures=True)
