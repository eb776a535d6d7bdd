"""`leukoscope serve` as a process of its own, in a checkout with a champion, and cells to send to it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.data.raw_folders import drawn, encoded, resized

ROOT = Path(__file__).parents[2]
READY = re.compile(r"^leukoscope: http://\S+:(\d+) ", re.MULTILINE)
READY_SECONDS = 600  # on a machine that does much else
STOP_SECONDS = 600
STALL = 2.0  # seconds that the shared server waits for a silent client
BOUNDARY = "a-boundary"


@dataclass
class Running:
    """A server that answers on 127.0.0.1."""

    process: subprocess.Popen[bytes]
    port: int
    said: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.said.read_text()

    def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON of GET."""
        return answered(urllib.request.Request(f"{self.url}{path}"))

    def post(self, path: str, *files: tuple[str, bytes], field: str = "images") -> tuple[int, Any]:
        """Status and JSON (or bytes) of a POST of files."""
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        return answered(urllib.request.Request(f"{self.url}{path}", form(files, field), headers))

    def connect(self, timeout: float = 120) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()


def form(files: Sequence[tuple[str, bytes]], field: str = "images") -> bytes:
    """A body of multipart/form-data with BOUNDARY."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode()
        + data
        + b"\r\n"
        for name, data in files
    ]
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


def answered(request: urllib.request.Request) -> tuple[int, Any]:
    """Status and JSON (or bytes) of the answer."""
    try:
        with urllib.request.urlopen(request, timeout=600) as answer:
            status, kind, body = answer.status, answer.headers.get_content_type(), answer.read()
    except urllib.error.HTTPError as error:
        status, kind, body = error.code, error.headers.get_content_type(), error.read()
    return status, json.loads(body) if kind == "application/json" else body


def until(holds: Callable[[], Any], seconds: float = 300) -> Any:
    """Wait until `holds()` is true, and return what it gave; in vain it is an AssertionError."""
    deadline = time.monotonic() + seconds
    while not (given := holds()):
        assert time.monotonic() < deadline, f"in vain for {seconds:g} s"
        time.sleep(0.05)
    return given


@contextmanager
def serving(checkout: Path, *options: str) -> Iterator[Running]:
    """`leukoscope serve` with these options on a free port of 127.0.0.1, until the block ends."""
    folder = tempfile.TemporaryDirectory(prefix="serve-")
    said = Path(folder.name) / "log"
    command = [sys.executable, "-m", "leukoscope", "serve", "--port", "0", *options]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_"))}
    with said.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=checkout,
            env={**inherited, "PYTHONPATH": str(ROOT / "src")},
            stdout=log,
            stderr=log,
        )
    try:
        yield Running(process, _port(process, said), said)
    finally:
        process.kill()  # its end in order is the business of one test, and costs Python seconds
        process.wait()
        folder.cleanup()


def _port(process: subprocess.Popen[bytes], said: Path) -> int:
    until(lambda: READY.search(said.read_text()) or process.poll() is not None, READY_SECONDS)
    ready = READY.search(said.read_text())
    assert ready, f"the server did not start:\n{said.read_text()}"
    return int(ready[1])


@cache
def cell_png(seed: int = 0, label: int = 1) -> bytes:
    """A synthetic cell's file, small enough for the frame of 64 pixels that the champion sees."""
    return encoded(resized(drawn(seed, label), 60 / 450), ".png")
