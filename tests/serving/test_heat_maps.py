"""The process that makes heat maps: started when it is needed, again where it died, given up where it hangs."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from leukoscope.serving.errors import RequestError
from leukoscope.serving.heat_maps import Asked, HeatMaps
from tests.fixtures.running import ROOT

pytestmark = pytest.mark.slow

PICTURE = np.full((64, 64, 3), 90, np.uint8)
ORPHAN = """
import sys
import time
from leukoscope.serving.heat_maps import Asked, HeatMaps
if __name__ == "__main__":
    maps = HeatMaps(600)
    maps.warm(Asked("cells", "1"))
    while not maps.running:
        time.sleep(0.05)
    print(maps._process.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def heat_maps(champion_checkout: Path) -> Iterator[HeatMaps]:
    made = HeatMaps(seconds=600)
    yield made
    made.close()


def test_a_process_that_was_killed_is_started_again(heat_maps: HeatMaps) -> None:
    async def run() -> None:
        first = await heat_maps.overlay(Asked("cells", "1", PICTURE))
        assert first.startswith(b"\x89PNG")
        child = heat_maps._process
        assert child is not None
        assert child.pid is not None
        os.kill(child.pid, signal.SIGSTOP)  # so that it is asked and does not answer
        waiting = asyncio.create_task(heat_maps.overlay(Asked("cells", "1", PICTURE)))
        while not untaken(heat_maps):
            await asyncio.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(RequestError, match=r"^the process that makes heat maps ended: ask again$"):
            await waiting
        again = await heat_maps.overlay(Asked("cells", "1", PICTURE))
        assert again.startswith(b"\x89PNG")

    asyncio.run(run())


def untaken(heat_maps: HeatMaps) -> int:
    """Bytes that were sent to the process and that it has not read."""
    assert heat_maps._connection is not None
    (size,) = struct.unpack("i", fcntl.ioctl(heat_maps._connection, termios.TIOCOUTQ, bytes(4)))
    return int(size)


def test_one_that_does_not_answer_in_time_is_given_up(champion_checkout: Path) -> None:
    hasty = HeatMaps(seconds=0.05)

    async def run() -> None:
        with pytest.raises(RequestError, match=r"^the heat map was not there after 0\.05 s$"):
            await hasty.overlay(Asked("cells", "1", PICTURE))

    try:
        asyncio.run(run())
        assert not hasty.running
    finally:
        hasty.close()


def test_it_ends_where_the_server_was_killed(champion_checkout: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    script = champion_checkout / "orphan.py"  # a file, since a spawned process imports its parent's
    script.write_text(ORPHAN)
    with subprocess.Popen(
        [sys.executable, str(script)],
        cwd=champion_checkout,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as server:
        assert server.stdout is not None
        child = psutil.Process(int(server.stdout.readline()))
        server.kill()
        _, alive = psutil.wait_procs([child], timeout=180)
        assert not alive
