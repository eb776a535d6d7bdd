"""Connections to other machines: only a fetch from Kaggle makes some.

The stages are checked in tests/pipeline/test_pipeline.py, the commands in tests/pipeline/test_shown_commands.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fixtures.checkout import ROOT
from tests.fixtures.connections import Connections
from tests.fixtures.standin import picture_bytes

pytestmark = pytest.mark.slow

OWN = ("own/all/p1/1.png", "own/hem/p2/1.png")
KAGGLE = "kaggle.com"


@pytest.fixture
def connections(tmp_path: Path) -> Connections:
    folder = tmp_path / "noted"
    folder.mkdir()
    return Connections(folder)


def run(folder: Path, connections: Connections, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    noting = connections.noting({**os.environ, **environment})
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=folder, env=noting, capture_output=True, text=True, check=False)


def test_connections_and_names_are_noted_and_outward_ones_refused(tmp_path: Path, connections: Connections) -> None:
    code = """
import os, socket
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname()).close()
with socket.socket(socket.AF_UNIX) as local:
    local.bind("here")
    local.listen()
    socket.socket(socket.AF_UNIX).connect("here")
for outward in (
    lambda: socket.create_connection(("192.0.2.1", 80)),
    lambda: socket.socket(socket.AF_INET6).connect_ex(("2001:db8::1", 80)),
    lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"", ("192.0.2.2", 9)),
    lambda: socket.gethostbyname("somewhere.invalid"),
    lambda: socket.create_connection(("elsewhere.invalid", 80)),
):
    try:
        outward()
    except OSError as error:
        assert "the test refuses" in str(error), error
    else:
        raise AssertionError("reached")
"""
    ran = run(tmp_path, connections, "-c", code)
    assert ran.returncode == 0, ran.stderr
    assert {"192.0.2.1:80", "2001:db8::1:80", "192.0.2.2:9", "somewhere.invalid:", "elsewhere.invalid:"} <= {
        note.address for note in connections.outward()
    }
    assert {note.address.split(":")[0] for note in connections.notes()} >= {"127.0.0.1", "unix"}
    assert not [note for note in connections.outward() if note.address.startswith(("127.", "unix", "localhost"))]


@pytest.mark.compiler
def test_connections_of_c_code_are_noted(tmp_path: Path, connections: Connections) -> None:
    code = """
import ctypes, socket, struct
c = ctypes.CDLL(None)
four = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(80), socket.inet_aton("192.0.2.1"))
udp = c.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)
assert c.sendto(udp, b"", 0, 0, four, 16) <= 0
c.connect(udp, four, 16)
c.connect(udp, struct.pack("=HH4s8x", socket.AF_INET, socket.htons(80), socket.inet_aton("127.0.0.1")), 16)
c.getaddrinfo(b"somewhere.invalid", None, None, ctypes.byref(ctypes.c_void_p()))
c.gethostbyname(b"elsewhere.invalid")
"""
    ran = run(tmp_path, connections, "-c", code)
    assert ran.returncode == 0, ran.stderr
    assert {(note.call, note.address) for note in connections.outward()} == {
        ("sendto", "192.0.2.1:80"),
        ("connect", "192.0.2.1:80"),
        ("getaddrinfo", "somewhere.invalid:"),
        ("gethostbyname", "elsewhere.invalid:"),
    }
    assert all(" -c  import ctypes" in note.command for note in connections.outward())
    assert "127.0.0.1:80" in {note.address for note in connections.notes()}


@pytest.mark.parametrize(
    ("settings", "code", "hosts"),
    [
        ({"source": "folder", "name": "own", "path": "own"}, 0, set()),
        ({"source": "kaggle", "name": "cnmc"}, 2, {KAGGLE}),
    ],
    ids=["folder", "kaggle"],
)
def test_a_fetch_from_kaggle_alone_asks_another_host(
    settings: dict[str, Any], code: int, hosts: set[str], tmp_path: Path, connections: Connections
) -> None:
    for name in OWN:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(picture_bytes(name))
    params = {"fetch": settings, "models": {"row": {"backbone": "mobilenetv2"}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    no_proxy = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), "")
    cache = {"KAGGLEHUB_CACHE": str(tmp_path / "cache"), "KAGGLE_USERNAME": "somebody", "KAGGLE_KEY": "a-key"}
    ran = run(tmp_path, connections, str(ROOT / "stages/fetch.py"), **no_proxy, **cache)
    assert ran.returncode == code, ran.stderr
    assert code == 0 or (ran.stderr.count("\n") == 1 and ran.stderr.startswith("error: ")), ran.stderr
    asked = {".".join(note.address.rstrip(":").split(".")[-2:]) for note in connections.outward()}
    assert asked == hosts, connections.outward()
