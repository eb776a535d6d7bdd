"""A version behind MLflow's own server, asked as its description in the registry says."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import numpy as np
import pytest

from leukoscope.data.synthetic.cells import fixed_cells
from leukoscope.imaging.framing import centre_frame
from leukoscope.registry import loading, versions
from leukoscope.registry.promotion import register
from leukoscope.tracking import store
from tests.fixtures.stores import checkout_with_store
from tests.fixtures.trained_rows import images, params, splits, write_row

pytestmark = pytest.mark.slow

STARTS_WITHIN = 600  # seconds: TensorFlow is loaded twice, on a machine that may be busy


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of `mlflow models serve` on the champion of a new checkout, which is the working directory."""
    checkout = checkout_with_store(tmp_path, monkeypatch)
    write_row(checkout, "a_row", skill=3)
    register(params("a_row"), images(), splits())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    binaries = Path(sys.executable).parent
    command = [str(binaries / "mlflow"), "models", "serve", "-m", "models:/leukoscope-cells@champion"]
    environment = {
        **os.environ,
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": store.tracking_uri(),
    }
    words = [*command, "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(words, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(address, process, tmp_path / "server.log")
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            with urlopen(f"{address}/ping", timeout=10) as answer:
                assert answer.status == 200
                return
        except (URLError, TimeoutError):
            time.sleep(1)
    raise AssertionError(log.read_text())


def asked(address: str, content: dict[str, Any]) -> Any:
    request = Request(f"{address}/invocations", json.dumps(content).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=300) as answer:
        return json.load(answer)


def test_mlflow_serves_the_champion_and_answers_the_documented_input(server: str) -> None:
    version = versions.champion("cells").version
    described = store.open_store().get_model_version("leukoscope-cells", version).description
    assert '`{"inputs": [picture, ...]}`' in described
    assert '`{"predictions": [[p(ALL)], ...]}`' in described
    champion, cells = loading.load_champion("cells"), fixed_cells(2, 1)
    expected = list(champion.model.p_all(centre_frame(cell, champion.frame) for cell in cells))
    answer = asked(server, {"inputs": cells.tolist()})
    assert list(answer) == ["predictions"]
    np.testing.assert_allclose(np.array(answer["predictions"])[:, 0], expected, atol=1e-5)
    assert f"the centre {champion.frame} x {champion.frame} pixels are enough" in described
    centres = [centre_frame(cell, champion.frame).tolist() for cell in cells]
    np.testing.assert_allclose(np.array(asked(server, {"inputs": centres})["predictions"])[:, 0], expected, atol=1e-5)
    with pytest.raises(HTTPError) as refused:
        asked(server, {"pictures": []})
    assert refused.value.code == 400
