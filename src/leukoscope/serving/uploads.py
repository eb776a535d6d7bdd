"""Pictures from a request's body: multipart/form-data, in memory alone, within the limits of size, count and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from leukoscope.serving.errors import BusyError, RequestError
from leukoscope.serving.limits import Limits

FIELD = "images"
NAME_LENGTH = 255
ASKED_FOR = f"send the pictures as multipart/form-data, each in a field called {FIELD}"


class Upload(NamedTuple):
    """A file as it came: its name without control characters, and its bytes."""

    name: str
    data: bytes

    def read(self) -> bytes:
        """Its bytes, which are here already."""
        return self.data


@dataclass
class UploadMemory:
    """The bytes of all uploads that are being received, and of the pictures in them until they are scored."""

    limit: int
    held: int = 0

    def take(self, size: int) -> None:
        """Count `size` bytes more. Raises BusyError where they would be too many."""
        if self.held + size > self.limit:
            raise BusyError("the server holds as many uploads as it may: send these pictures again in a moment")
        self.held += size


@asynccontextmanager
async def received(
    request: Request, limits: Limits, memory: UploadMemory, decoded_bytes: int
) -> AsyncIterator[list[Upload]]:
    """The request's pictures. They count in `memory` until the block ends, with `decoded_bytes` more for each.

    Raises RequestError (400, 408, 413, 415, 422, 503) with a sentence, and starlette's ClientDisconnect where the
    client has gone.
    """
    _refuse_by_headers(request, limits)
    held = _Held(memory)
    try:
        uploads = await _parsed(request, limits, held)
        held.take(decoded_bytes * len(uploads))
        yield uploads
    finally:
        held.release()


@dataclass
class _Held:
    """What one request holds of the uploads' memory."""

    memory: UploadMemory
    size: int = 0

    def take(self, size: int) -> None:
        self.memory.take(size)
        self.size += size

    def release(self) -> None:
        self.memory.held -= self.size
        self.size = 0


class _InMemory(MultiPartParser):
    """Starlette's parser, which would write to disk what is larger than a megabyte, and take half a part for none."""

    ended = False

    def __init__(self, request: Request, stream: AsyncGenerator[bytes, None], limits: Limits) -> None:
        super().__init__(request.headers, stream, max_files=float("inf"), max_fields=16, max_part_size=1000)
        self.spool_max_size = limits.upload_bytes + 1
        self._most = limits.images

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        if self._current_files > self._most:
            raise RequestError(413, f"more than {self._most} pictures in one request: send them in parts")

    def on_end(self) -> None:
        self.ended = True


def _refuse_by_headers(request: Request, limits: Limits) -> None:
    """Refuse what can be refused before its body is read."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise RequestError(415, f"{kind or 'a body without a content type'} is not understood here: {ASKED_FOR}")
    if int(request.headers.get("content-length") or 0) > limits.upload_bytes:  # h11 has refused what is no number
        raise _too_large(limits)


def _too_large(limits: Limits) -> RequestError:
    return RequestError(413, f"more than {limits.upload_mb:g} MB in one request: send the pictures in parts")


async def _body(request: Request, limits: Limits, held: _Held) -> AsyncGenerator[bytes, None]:
    """The body's pieces as they come."""
    pieces = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(limits.stall_seconds):
                piece = await anext(pieces, None)
        except TimeoutError:
            raise RequestError(408, f"nothing came for {limits.stall_seconds:g} s: send the pictures again") from None
        if piece is None:
            return
        if held.size + len(piece) > limits.upload_bytes:
            raise _too_large(limits)
        held.take(len(piece))
        yield piece


async def _parsed(request: Request, limits: Limits, held: _Held) -> list[Upload]:
    parser = _InMemory(request, _body(request, limits, held), limits)
    try:
        async with asyncio.timeout(limits.upload_seconds):
            form = await parser.parse()
    except TimeoutError:
        raise RequestError(
            408, f"the upload took longer than {limits.upload_seconds:g} s: send fewer pictures at once"
        ) from None
    except MultiPartException as error:
        raise RequestError(400, f"the upload is not valid ({error.message.rstrip('.').lower()}): {ASKED_FOR}") from None
    if not parser.ended:
        raise RequestError(400, f"the upload was cut off: {ASKED_FOR}")
    return [Upload(_shown(file.filename), await _content(file, limits)) for file in _files(form.multi_items())]


def _files(items: list[tuple[str, UploadFile | str]]) -> list[UploadFile]:
    for field, value in items:
        if field != FIELD:
            raise RequestError(422, f"there is a field that is not called {FIELD}: {ASKED_FOR}")
        if isinstance(value, str):
            raise RequestError(422, f"{FIELD} holds text and no file: {ASKED_FOR}")
    files = [value for _, value in items if isinstance(value, UploadFile)]
    if not files:
        raise RequestError(422, f"there is no picture in the request: {ASKED_FOR}")
    return files


async def _content(file: UploadFile, limits: Limits) -> bytes:
    """The file's bytes, of one that is too large so many that its reader sees it."""
    content = await file.read(limits.image_bytes + 1)
    await file.close()
    return content


def _shown(name: str | None) -> str:
    """A file's name as it may be shown: in one line, of a length that a file's name may have."""
    printable = "".join(letter if letter.isprintable() else "�" for letter in name or "")
    return printable[:NAME_LENGTH] or "unnamed"


def too_large(upload: Upload, limits: Limits) -> bool:
    """Whether a picture's file is larger than one may be."""
    return len(upload.data) > limits.image_bytes
