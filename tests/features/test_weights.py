"""A download of weights, from a real server: whole and checked under its name, or not there."""

from __future__ import annotations

import hashlib
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CONTENT = os.urandom(200_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SRC = Path(__file__).parents[2] / "src"


class Server(http.server.BaseHTTPRequestHandler):
    """Serves /whole.h5, /other.h5 (of other bytes), /cut.h5 (which ends early) and /stalled.h5 (which never ends)."""

    protocol_version = "HTTP/1.1"
    ended = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write({"/other.h5": bytes(len(CONTENT)), "/whole.h5": CONTENT}.get(self.path, CONTENT[:100_000]))
        if self.path == "/stalled.h5":
            self.ended.wait()
        self.close_connection = True

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    Server.ended.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    Server.ended.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path / "models"


def downloaded(url: str, file_hash: str | None = SHA256) -> Path:
    """As keras.applications asks for its files; for MobileNet's without a hash."""
    from keras.src.utils import file_utils

    from leukoscope.features.weights import whole_downloads

    with whole_downloads():
        return Path(file_utils.get_file("w.h5", url, cache_subdir="models", file_hash=file_hash))


def test_a_download_gets_its_name_once_its_hash_is_right(models: Path, address: str) -> None:
    for bad in ("cut", "other"):
        with pytest.raises(Exception, match=r"retrieval incomplete|[Ii]ncomplete or corrupted"):
            downloaded(f"{address}/{bad}.h5")
        assert list(models.iterdir()) == []
    assert downloaded(f"{address}/whole.h5") == models / "w.h5"
    assert [path.name for path in models.iterdir()] == ["w.h5"]
    assert downloaded("http://127.0.0.1:9/nobody").read_bytes() == CONTENT  # what is there is not fetched again
    (models / "w.h5").write_bytes(CONTENT[:1000])  # by another program
    with pytest.raises(Exception, match="URL fetch failure"):
        downloaded("http://127.0.0.1:9/nobody")
    assert downloaded(f"{address}/whole.h5").read_bytes() == CONTENT


def test_a_download_without_a_published_hash_is_there_whole_or_not_at_all(models: Path, address: str) -> None:
    with pytest.raises(Exception, match="retrieval incomplete"):
        downloaded(f"{address}/cut.h5", None)
    assert list(models.iterdir()) == []
    assert downloaded(f"{address}/whole.h5", None).read_bytes() == CONTENT
    assert downloaded("http://127.0.0.1:9/nobody", None).read_bytes() == CONTENT


@pytest.mark.slow
def test_a_kill_in_a_download_leaves_no_file_of_that_name(models: Path, address: str) -> None:
    code = f"from tests.features.test_weights import downloaded; downloaded({address!r} + '/stalled.h5')"
    environment = {**os.environ, "PYTHONPATH": f"{SRC}{os.pathsep}{SRC.parent}"}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.DEVNULL)
    while not (models.is_dir() and any(path.stat().st_size for path in models.iterdir())):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (models / "w.h5").exists()
    downloaded(f"{address}/whole.h5")
    assert [path.name for path in models.iterdir()] == ["w.h5"]
