"""Pictures of several requests are computed together, fairly, and nobody waits for who has gone."""

from __future__ import annotations

import asyncio
import threading

import pytest

from leukoscope.serving.batching import Batcher


class Held:
    """A computation that waits for its release, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.released = threading.Event()

    def __call__(self, items: list[str]) -> list[str]:
        self.batches.append(items)
        assert self.released.wait(10)
        return [item.upper() for item in items]


async def begun(held: Held, batcher: Batcher[str, str], *requests: list[str]) -> list[asyncio.Task[list[str]]]:
    """Tasks of requests: the first one's batch is being computed, the others wait."""
    tasks = []
    for request in requests:
        tasks.append(asyncio.create_task(batcher.answers(request)))
        while not held.batches:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)
    return tasks


def test_what_comes_while_a_batch_is_computed_makes_one_batch() -> None:
    async def run() -> None:
        held = Held()
        tasks = await begun(held, Batcher(held, at_most=8), ["a"], ["b"], ["c", "d"])
        held.released.set()
        assert await asyncio.gather(*tasks) == [["A"], ["B"], ["C", "D"]]
        assert held.batches == [["a"], ["b", "c", "d"]]

    asyncio.run(run())


def test_one_picture_does_not_wait_for_the_whole_folder_before_it() -> None:
    async def run() -> None:
        held = Held()
        folder = [f"f{number}" for number in range(6)]
        tasks = await begun(held, Batcher(held, at_most=2), folder, ["one"])
        held.released.set()
        folder_answers, one = await asyncio.gather(*tasks)
        assert one == ["ONE"]
        assert folder_answers == [name.upper() for name in folder]
        assert "one" in held.batches[1]

    asyncio.run(run())


def test_who_has_gone_is_not_computed() -> None:
    async def run() -> None:
        held = Held()
        first, gone, last = await begun(held, Batcher(held, at_most=8), ["a"], ["gone"], ["c"])
        gone.cancel()
        await asyncio.sleep(0)
        held.released.set()
        assert await first == ["A"]
        assert await last == ["C"]
        assert held.batches == [["a"], ["c"]]

    asyncio.run(run())


def test_a_batch_that_fails_fails_its_own_requests_alone() -> None:
    def compute(items: list[str]) -> list[str]:
        if "bad" in items:
            raise RuntimeError("no answer")
        return items

    async def run() -> None:
        batcher = Batcher(compute, at_most=8)
        with pytest.raises(RuntimeError, match="no answer"):
            await batcher.answers(["bad"])
        assert await batcher.answers(["good"]) == ["good"]

    asyncio.run(run())


def test_nothing_to_score_is_nothing_to_wait_for() -> None:
    assert asyncio.run(Batcher(lambda items: items, at_most=8).answers([])) == []
