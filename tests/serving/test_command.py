"""`leukoscope serve` as a command: its address, its end, its mistakes, and the champion that it follows."""

from __future__ import annotations

import re
import signal
import socket
from pathlib import Path

import psutil
import pytest

from leukoscope.cli.commands import main
from leukoscope.core.errors import UserError
from leukoscope.registry import versions
from leukoscope.serving.server import bound
from tests.fixtures.running import BOUNDARY, STOP_SECONDS, Running, cell_png, form, serving, until


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
def test_it_listens_on_this_machine_alone_unless_told_otherwise(server: Running, open_server: Running) -> None:
    def listens(running: Running) -> set[str]:
        found = psutil.Process(running.process.pid).net_connections("tcp")
        return {one.laddr.ip for one in found if one.status == psutil.CONN_LISTEN}

    assert listens(server) == {"127.0.0.1"}
    assert "asks for no password" not in server.log
    assert listens(open_server) == {"0.0.0.0"}
    assert "it asks for no password" in open_server.log


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_what_was_asked_and_then_ends_with_all_its_processes(champion_checkout: Path, number: int) -> None:
    whole = form([("a.png", cell_png())])
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
    with serving(champion_checkout) as server, server.connect() as client, server.connect() as idle:
        idle.sendall(b"GET /hea")
        client.sendall(f"{head}Content-Length: {len(whole)}\r\n\r\n".encode() + whole[:-10])
        assert server.get("/")[0] == 200  # whoever opens the page has the process for heat maps started
        until(lambda: heat_map_processes(server))
        children = psutil.Process(server.process.pid).children(recursive=True)
        server.process.send_signal(number)
        until(lambda: refuses(server))
        client.sendall(whole[-10:])
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert server.process.wait(STOP_SECONDS) == 0
        _, alive = psutil.wait_procs(children, timeout=STOP_SECONDS)
        assert not alive
        assert server.log.rstrip().endswith("stopped")
        assert not re.search("ERROR|Traceback", server.log)


def heat_map_processes(server: Running) -> list[psutil.Process]:
    """The server's processes that make heat maps."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    return [child for child in children if any("spawn_main" in word for word in child.cmdline())]


def refuses(server: Running) -> bool:
    """Whether it takes no connection more."""
    try:
        server.connect().close()
    except ConnectionError:
        return True
    return False


@pytest.mark.slow
def test_the_server_itself_never_loads_tensorflow(server: Running) -> None:
    def packages(process: psutil.Process) -> set[str]:
        return {name for one in process.memory_maps() for name in re.findall(r"/site-packages/(\w+)/", one.path)}

    assert server.post("/explain", ("a.png", cell_png()))[0] == 200
    assert server.post("/predict", ("a.png", cell_png()))[0] == 200
    process = psutil.Process(server.process.pid)
    assert "openvino" in packages(process)
    assert "tensorflow" not in packages(process)
    assert any("tensorflow" in packages(child) for child in heat_map_processes(server))


@pytest.mark.slow
def test_without_a_champion_it_ends_in_one_line(
    champion_checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["leukoscope", "serve", "--port", "0", "--version", "99"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: leukoscope-cells has no version 99: it has 1, 2\n"


@pytest.mark.slow
def test_it_follows_the_champion_unless_a_version_is_named(server: Running, open_server: Running) -> None:
    def version_of(running: Running) -> str:
        return running.post("/predict", ("a.png", cell_png()))[1]["model"]["version"]

    def shows(version: str) -> bool:
        return open_server.get("/health")[1]["version"] == version

    assert open_server.get("/model")[1]["follows_champion"]
    assert not server.get("/model")[1]["follows_champion"]
    until(lambda: shows("1"))
    try:
        versions.set_champion("cells", "2")
        until(lambda: shows("2"))
        assert version_of(open_server) == "2"
        assert "version 2 answers from now on, version 1 did before" in open_server.log
        assert version_of(server) == "1"
    finally:
        versions.set_champion("cells", "1")


@pytest.mark.slow
def test_a_champion_that_cannot_be_loaded_leaves_the_one_before_it_answering(champion_checkout: Path) -> None:
    from leukoscope.serving.live import Live

    live = Live("cells", None)
    try:
        versions.set_champion("cells", "2")
        model = Path(versions.champion("cells").source) / "data" / "model.keras"
        whole = model.read_bytes()
        model.write_bytes(whole[:-1])
        try:
            live.refresh()
        finally:
            model.write_bytes(whole)
        assert live.current.champion.version == "1"
        assert live.problem
        assert live.problem.startswith("data/model.keras of version 2 is not the file that was registered")
        live.refresh()
        assert (live.current.champion.version, live.problem) == ("2", None)
    finally:
        versions.set_champion("cells", "1")
