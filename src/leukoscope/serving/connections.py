"""A connection that ends when its client stalls: uvicorn waits for ever for headers, and for an answer to be taken.

A stalled body is the business of `serving.uploads`, which can still say what was wrong.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from leukoscope.serving.limits import Limits

CHECK_SECONDS = 0.5


def timed_connections(limits: Limits) -> type[H11Protocol]:
    """uvicorn's HTTP/1.1 with `limits`: give it to `uvicorn.Config(http=...)`."""

    class TimedConnection(H11Protocol):
        """Closed when a request's head takes too long, cut off when an answer is not taken."""

        _timer: asyncio.TimerHandle | None = None
        _head_since: float | None = None  # while a request's head is not complete
        _unsent_since: float | None = None  # while some of an answer is not taken

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            # uvicorn's limit answers requests with 503; past it, who sends none holds a file descriptor
            if len(self.connections) > 2 * limits.connections:
                transport.abort()
                return
            self._head_since = self.loop.time()
            self._check()

        def connection_lost(self, exc: Exception | None) -> None:
            if self._timer is not None:
                self._timer.cancel()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._answering():
                self._head_since = None
            elif self._head_since is None:  # the next request's first bytes, or a body that goes on after its answer
                self._head_since = self.loop.time()

        def _answering(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _check(self) -> None:
            now = self.loop.time()
            if self.transport.get_write_buffer_size() == 0:
                self._unsent_since = None
            elif self._unsent_since is None:
                self._unsent_since = now
            if _passed(self._unsent_since, limits.send_seconds, now):
                self.transport.abort()
            elif _passed(self._head_since, limits.stall_seconds, now):
                self.transport.close()
            self._timer = self.loop.call_later(CHECK_SECONDS, self._check)

    return TimedConnection


def _passed(since: float | None, seconds: float, now: float) -> bool:
    return since is not None and now - since > seconds


def uvicorn_limits(limits: Limits) -> dict[str, Any]:
    """uvicorn's own settings of the same kind."""
    return {
        "http": timed_connections(limits),
        "limit_concurrency": limits.connections,
        "timeout_keep_alive": 5,
        "timeout_graceful_shutdown": int(limits.shutdown_seconds),
    }
