"""`leukoscope serve` as a command: its address, its end, its mistakes, and the champion that it follows."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from leukoscope import registry
from leukoscope.errors import UserError
from leukoscope.serving.server import bound
from tests.serving.running import BOUNDARY, ROOT, STOP_SECONDS, Running, cell_png, form, serving


def leukoscope(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "leukoscope", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"^127.0.0.1, port {port}: address already in use: choose another --port"):
            bound("127.0.0.1", port)


def test_an_address_of_another_machine_is_one_line() -> None:
    with pytest.raises(UserError, match=r"^192\.0\.2\.1, port 0: cannot assign requested address: choose another"):
        bound("192.0.2.1", 0)
    with pytest.raises(UserError, match=r"^no\.such\.host\.invalid is no address of this machine"):
        bound("no.such.host.invalid", 0)


@pytest.mark.slow
def test_it_listens_on_this_machine_alone_unless_told_otherwise(server: Running, champion_checkout: Path) -> None:
    def listens(running: Running) -> set[str]:
        found = psutil.Process(running.process.pid).net_connections("tcp")
        return {one.laddr.ip for one in found if one.status == psutil.CONN_LISTEN}

    assert listens(server) == {"127.0.0.1"}
    assert "asks for no password" not in server.log
    with serving(champion_checkout, "--host", "0.0.0.0") as open_to_all:
        assert listens(open_to_all) == {"0.0.0.0"}
        assert "it asks for no password" in open_to_all.log


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_what_was_asked_and_then_ends(champion_checkout: Path, number: int) -> None:
    whole = form([("a.png", cell_png())])
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
    with serving(champion_checkout) as server, server.connect() as client, server.connect() as idle:
        idle.sendall(b"GET /hea")
        client.sendall(f"{head}Content-Length: {len(whole)}\r\n\r\n".encode() + whole[:-10])
        assert server.get("/health")[0] == 200
        server.process.send_signal(number)
        time.sleep(0.5)
        client.sendall(whole[-10:])
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert server.process.wait(STOP_SECONDS) == 0
        assert server.log.rstrip().endswith("stopped")
        assert "Traceback" not in server.log


@pytest.mark.slow
def test_its_end_is_the_end_of_the_process_that_makes_heat_maps(champion_checkout: Path) -> None:
    with serving(champion_checkout) as server:
        assert server.get("/")[0] == 200  # whoever opens the page has it started
        children = psutil.Process(server.process.pid).children(recursive=True)
        assert children
        assert server.stop() == 0
        _, alive = psutil.wait_procs(children, timeout=10)
        assert not alive
        assert "Traceback" not in server.log


@pytest.mark.slow
def test_the_server_itself_never_loads_tensorflow(server: Running) -> None:
    def maps(process: psutil.Process) -> str:
        return " ".join(one.path for one in process.memory_maps())

    assert server.post("/explain", ("a.png", cell_png()))[0] == 200
    assert server.post("/predict", ("a.png", cell_png()))[0] == 200
    process = psutil.Process(server.process.pid)
    assert "openvino" in maps(process)
    assert "tensorflow" not in maps(process)
    assert any("tensorflow" in maps(child) for child in process.children(recursive=True))


@pytest.mark.slow
def test_without_a_champion_it_ends_in_one_line(champion_checkout: Path) -> None:
    refused = leukoscope(champion_checkout, "serve", "--port", "0", "--version", "99")
    assert refused.returncode == 2
    assert refused.stderr == "error: leukoscope-cells has no version 99: it has 1, 2\n"


@pytest.mark.slow
def test_it_follows_the_champion_unless_a_version_is_named(champion_checkout: Path) -> None:
    def version_of(server: Running) -> str:
        return server.post("/predict", ("a.png", cell_png()))[1]["model"]["version"]

    with serving(champion_checkout) as follows, serving(champion_checkout, "--version", "1") as named:
        assert follows.get("/model")[1]["follows_champion"]
        assert not named.get("/model")[1]["follows_champion"]
        assert version_of(follows) == version_of(named) == "1"
        try:
            registry.set_champion("cells", "2")
            deadline = time.monotonic() + 300
            while version_of(follows) != "2" and time.monotonic() < deadline:
                time.sleep(0.5)
            assert version_of(follows) == follows.get("/health")[1]["version"] == "2"
            assert "version 2 answers from now on, version 1 did before" in follows.log
            assert version_of(named) == "1"
        finally:
            registry.set_champion("cells", "1")


@pytest.mark.slow
def test_a_champion_that_cannot_be_loaded_leaves_the_one_before_it_answering(
    champion_checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from leukoscope.serving.live import Live

    live = Live("cells", None)
    source = Path(registry.champion("cells").source)
    try:
        registry.set_champion("cells", "2")
        model = Path(registry.champion("cells").source) / "data" / "model.keras"
        whole = model.read_bytes()
        model.write_bytes(whole[:-1])
        live.refresh()
        assert live.current.champion.version == "1"
        assert live.problem
        assert live.problem.startswith("data/model.keras of version 2 is not the file that was registered")
        model.write_bytes(whole)
        live.refresh()
        assert (live.current.champion.version, live.problem) == ("2", None)
    finally:
        registry.set_champion("cells", "1")
    assert source.exists()
