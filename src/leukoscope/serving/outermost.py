"""What surrounds every request: headers for the browser, one line in the log, and an answer to our own mistakes.

A log line has the route as it was declared, never the address or a message that could hold a file's name: files are
called after patients, and addresses may carry tokens.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import traceback
from collections.abc import Iterable

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("leukoscope.serving")

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
_RAW_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OURS = "this is a mistake of the server's: its log says where"
STOPPING = "the server is stopping: send the same again when it is back"
CLIENT_LEFT = 499  # nginx's number; nobody is there to read it


class Outermost:
    """ASGI middleware around the whole application, its error pages included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", []), *_RAW_HEADERS]}
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            status = CLIENT_LEFT
        except asyncio.CancelledError:  # uvicorn waits no longer for this request
            if not status:
                await _answer(send_with_headers, 503, STOPPING)
        except Exception as error:
            log.error("%s in %s", type(error).__name__, " < ".join(_where(error)))
            if status:  # a part of the answer is out: uvicorn closes the connection of an application that raises
                raise RuntimeError(f"{type(error).__name__} in the middle of an answer") from None
            await _answer(send_with_headers, 500, OURS)
        finally:
            log.info("%s", _line(scope, status, time.monotonic() - started))


async def _answer(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"detail": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _where(error: BaseException) -> Iterable[str]:
    """The places that an error passed, the innermost first, without its message."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        yield f"{frame.filename}:{frame.lineno} {frame.name}"


def _line(scope: Scope, status: int, seconds: float) -> str:
    method = scope["method"] if scope["method"] in METHODS else "?"
    path = getattr(scope.get("route"), "path", None) or scope.get("root_path") or "(another address)"
    pictures = scope.get("state", {}).get("pictures")
    counted = f", {pictures} picture{'' if pictures == 1 else 's'}" if pictures is not None else ""
    return f"{method} {path} {status} in {1000 * seconds:.0f} ms{counted}"
