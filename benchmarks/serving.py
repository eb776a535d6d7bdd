"""The server's batches across requests: many clients with a picture each, beside servers without such batches.

Three servers run on one model: ours; the same one with batches of one, so that each request is a pass of its own; and
one whose model was compiled for single pictures, which is what a server without batches would do best.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path

import cv2

from benchmarks.measuring import Reach, cells, report, side_by_side, speed

FRAME, SIZE = 300, 224
CLIENTS, PICTURES = 16, 8  # that each client sends one after another
BOUNDARY = "benchmark"
BACKBONES = ("mobilenetv2", "efficientnetb3")
KINDS = ("batches", "passes", "singles")  # ours, and the two beside it


def main() -> None:
    """Measure and report, or be one of the servers."""
    if sys.argv[1:]:
        be_server(Path(sys.argv[1]), sys.argv[2])
        return
    bodies = [_form(cv2.imencode(".bmp", cell)[1].tobytes()) for cell in cells(CLIENTS)]
    report(*chain.from_iterable(of_backbone(name, bodies) for name in BACKBONES))


def of_backbone(name: str, bodies: list[bytes]) -> list:
    """One backbone's figures. Raises AssertionError where two servers say different things."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        model = Path(folder) / "model.xml"
        write_model(name, model)
        ports = [running.enter_context(server(model, kind)) for kind in KINDS]
        said = [ask_all(port, bodies, 1) for port in ports]
        for other in said[1:]:
            assert all(abs(a - b) < 1e-5 for a, b in zip(said[0], other, strict=True))
        seconds = side_by_side(5, *(lambda port=port: ask_all(port, bodies, PICTURES) for port in ports))
    about = f"serving / {name}, {CLIENTS} clients"
    sent = CLIENTS * PICTURES
    return [
        speed(f"{about} / a pass for each request", sent, "images", seconds[0], seconds[1], Reach(1.5)),
        speed(f"{about} / a model of single pictures", sent, "images", seconds[0], seconds[2], Reach(1)),
    ]


def write_model(name: str, path: Path) -> None:
    """A row on this backbone, of random weights, as the registry keeps it for scoring."""
    from leukoscope.config.rows import ModelSettings
    from leukoscope.features.backbones import build_backbone
    from leukoscope.features.keras_loading import load_keras
    from leukoscope.registry.runtime import export_scoring
    from leukoscope.training.assembly import raw_model
    from leukoscope.training.heads import build_head

    load_keras()
    row = ModelSettings(backbone=name, weights="none", frame=FRAME, size=SIZE, pooling="avg", head="plain")
    width = int(build_backbone(name, "none", FRAME, SIZE).output.shape[-1])
    export_scoring(raw_model(row, [build_head(row, width, "head")]), FRAME, path)


@contextmanager
def server(model: Path, kind: str) -> Iterator[int]:
    """A server of this kind on a free port, which is given, until the block ends."""
    command = [sys.executable, "-m", "benchmarks.serving", str(model), kind]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def be_server(model: Path, kind: str) -> None:
    """Serve a model file until told to stop; the port is printed."""
    from leukoscope.registry.champion import Champion
    from leukoscope.registry.runtime import BATCH, Scorer
    from leukoscope.serving.app import application
    from leukoscope.serving.limits import Limits
    from leukoscope.serving.live import AT_ONCE, Live, Loaded
    from leukoscope.serving.server import bound, serve
    from tests.fixtures.decisions import decision_at, point

    class OneModel(Live):
        """A model that is in no registry."""

        def __init__(self, current: Loaded) -> None:
            self.data_name, self.pinned, self.problem, self.current = "synthetic", True, None, current

    decision = decision_at(point(0.5), FRAME, "benchmark")
    scorer = Scorer(model, FRAME, BATCH if kind == "singles" else 1)
    live = OneModel(Loaded(Champion(decision, "0", model=scorer), AT_ONCE if kind == "batches" else 1))
    opened = bound("127.0.0.1", 0)
    serve(application(live, Limits()), opened, Limits(), lambda: print(opened.getsockname()[1], flush=True))


def ask_all(port: int, bodies: list[bytes], times: int) -> list[float]:
    """Every client sends its picture so many times, all at once; the first p of each."""
    together = threading.Barrier(len(bodies))

    def ask(body: bytes) -> float:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        together.wait()
        p_all = [_asked(connection, body) for _ in range(times)]
        connection.close()
        return p_all[0]

    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(ask, bodies))


def _asked(connection: http.client.HTTPConnection, body: bytes) -> float:
    connection.request("POST", "/predict", body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})
    answer = connection.getresponse()
    said = json.loads(answer.read())
    assert answer.status == 200, said
    return said["images"][0]["p_all"]


def _form(picture: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="images"; filename="a.bmp"\r\n\r\n'
    return head.encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()


if __name__ == "__main__":
    main()
