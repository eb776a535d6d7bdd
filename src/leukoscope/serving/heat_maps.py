"""Grad-CAM overlays from a process of their own: TensorFlow's start, memory and crashes stay out of the server.

The process starts with the first overlay that is asked for, explains one picture after another, and is started again
where it died or did not answer in time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from leukoscope.serving.errors import BusyError, RequestError

if TYPE_CHECKING:
    from leukoscope.explain.gradcam import Explainer


log = logging.getLogger("leukoscope.serving")

NICENESS = 5  # scores come first where both want the processor
WAITING = 512  # a page asks for the maps of all its cells, some at a time
FAILED = "the heat map could not be made: the server's log says why"


class Asked(NamedTuple):
    """A version of a data set's model, and a picture uint8 [frame, frame, 3] for it; None has it loaded only."""

    data_name: str
    version: str
    picture: np.ndarray | None = None


class HeatMaps:
    """The process that explains; use it from one event loop."""

    def __init__(self, seconds: float) -> None:
        """An overlay that takes longer than `seconds`, TensorFlow's start included, is given up."""
        self._seconds = seconds
        self._waiting = 0
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="heat-maps")
        self._closed = False

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.is_alive()

    async def overlay(self, asked: Asked) -> bytes:
        """The picture in grey under its map, as PNG.

        Raises BusyError where too many wait, and RequestError (500, 503) where the process fails or is too slow.
        """
        if self._waiting >= WAITING:
            raise BusyError("too many heat maps wait: ask again in a moment")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._ask, asked)
        finally:
            self._waiting -= 1

    def warm(self, asked: Asked) -> None:
        """Start the process, if it is not there, and have it load the version; nobody waits for that."""
        if not self.running and not self._waiting and not self._closed:
            self._thread.submit(self._warmed, asked._replace(picture=None))

    def _warmed(self, asked: Asked) -> None:
        if not self.running:
            with contextlib.suppress(RequestError):  # logged; whoever asks for a map is told
                self._ask(asked)

    def _ask(self, asked: Asked) -> bytes:
        if self._closed:
            raise BusyError("the server is stopping")
        if self._connection is None or not self.running:
            self._start()
        assert self._connection is not None
        try:
            self._connection.send(asked)
            if not self._connection.poll(self._seconds):
                raise TimeoutError
            answer: bytes | str = self._connection.recv()
        except TimeoutError:
            self.stop()
            raise RequestError(503, f"the heat map was not there after {self._seconds:g} s") from None
        except (EOFError, OSError):
            self.stop()
            raise RequestError(503, "the process that makes heat maps ended: ask again") from None
        if isinstance(answer, str):
            log.error("heat map: %s", answer)
            raise RequestError(500, FAILED)
        return answer

    def _start(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._connection, theirs = spawn.Pipe()
        # a daemon ends with the server; see _end_with_parent for one that was killed
        process = spawn.Process(target=explain_for, args=(theirs,), name="heat-maps", daemon=True)
        process.start()
        self._process = process  # no earlier: `close` may come meanwhile, and a process that is not there has no end
        theirs.close()
        if self._closed:
            process.kill()

    def stop(self) -> None:
        """End the process, whatever it does; the next overlay starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None

    def close(self) -> None:
        """End the process for good."""
        self._closed = True
        if self._process is not None:
            self._process.kill()  # the thread that waits for its answer wakes up
        self._thread.shutdown(cancel_futures=True)
        self.stop()


def explain_for(connection: Connection) -> None:
    """Answer each `Asked` of the connection with an overlay's PNG, or with what failed as text, until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal: the server decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.nice(NICENESS)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    opened: dict[tuple[str, str], Explainer] = {}
    while True:
        try:
            asked: Asked = connection.recv()
        except EOFError:
            return
        try:
            answer: bytes | str = _overlay(asked, opened)
        except Exception as error:  # told to the server, whose log it belongs to; the next picture may do
            answer = f"{type(error).__name__}: {' '.join(str(error).split())}"
        connection.send(answer)


def _end_with_parent() -> None:
    """End this process, whatever it does, where the server was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _overlay(asked: Asked, opened: dict[tuple[str, str], Explainer]) -> bytes:
    from leukoscope.explain.explainer import load_explainer
    from leukoscope.explain.gradcam import overlay

    key = asked.data_name, asked.version
    if key not in opened:
        opened.clear()  # one model at a time: an older champion is asked for a last few times at most
        opened[key] = load_explainer(*key).model
    if asked.picture is None:
        return b""
    (heat,) = opened[key].heat_maps(asked.picture[None])
    drawn = cv2.cvtColor(overlay(asked.picture, heat), cv2.COLOR_RGB2BGR)
    done, png = cv2.imencode(".png", drawn)
    if not done:
        raise RuntimeError("OpenCV wrote no PNG")
    return png.tobytes()
