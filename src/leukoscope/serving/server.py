"""A process that serves: its socket, its log, its end on Ctrl-C or SIGTERM."""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from leukoscope.core.errors import UserError
from leukoscope.serving.connections import uvicorn_limits
from leukoscope.serving.limits import Limits

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def bound(host: str, port: int) -> socket.socket:
    """A socket on that address, which nobody reaches before `serve`; port 0 takes a free one.

    Raises UserError where the address cannot be had.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise UserError(f"{host} is no address of this machine ({_reason(error)}): choose another --host") from None
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind(address)
    except (OSError, OverflowError) as error:
        opened.close()
        raise UserError(f"{host}, port {port}: {_reason(error)}: choose another --port or --host") from None
    return opened


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).lower()


def address(opened: socket.socket, host: str) -> str:
    """What to open in a browser on this machine."""
    port = opened.getsockname()[1]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def serve(app: FastAPI, opened: socket.socket, limits: Limits, ready: Callable[[], None]) -> None:
    """Serve `app` until SIGINT or SIGTERM, then let running requests end; `ready()` is called once it answers."""
    _log_to_stderr()
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws="none",
        lifespan="on",
        **uvicorn_limits(limits),
    )
    # uvicorn ends in order and then raises the signal again: these let the process end as one that did what it was told
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        _Announcing(config, ready).run(sockets=[opened])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Announcing(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    for name, level in (("leukoscope.serving", logging.INFO), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.handlers = [handler]
        logger.propagate = False
