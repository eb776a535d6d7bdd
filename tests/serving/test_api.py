"""What the server answers to programs: scores, and one sentence for whatever it does not answer."""

from __future__ import annotations

import re
import resource
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leukoscope.prediction.pictures import decoded
from leukoscope.prediction.scoring import score_pictures
from leukoscope.registry import loading
from tests.fixtures.raw_folders import encoded
from tests.fixtures.running import BOUNDARY, Running, answered, cell_png, form

pytestmark = pytest.mark.slow

NO_PICTURE = {
    "a text": (b"not a picture", r"not a picture that can be read \(bmp, png, jpg, tif\)"),
    "nothing": (b"", "empty file"),
    "half a PNG": (cell_png()[: len(cell_png()) // 2], "cut off or damaged"),
    "a web page": (b"<html><script>alert(1)</script></html>", "not a picture that can be read"),
    "too many bytes": (bytes(1_100_000), "more than 1 MB, which no picture of a cell needs"),
    "too many pixels": (encoded(np.zeros((2500, 2500), np.uint8), ".png"), "more than 4 megapixels"),
}


def sentence(answer: object) -> str:
    """The one sentence of a refusal."""
    assert isinstance(answer, dict)
    assert list(answer) == ["detail"]
    assert isinstance(answer["detail"], str)
    assert "\n" not in answer["detail"]
    return answer["detail"]


def test_what_predict_says_is_what_the_command_line_says(server: Running) -> None:
    files = [(f"UID_{seed + 1}_1_1_all.png", cell_png(seed)) for seed in range(3)]
    status, answer = server.post("/predict", *files)
    assert status == 200
    champion = loading.load_champion("cells")
    expected = list(score_pictures((decoded(data, name) for name, data in files), champion))
    assert [one["file"] for one in answer["images"]] == [name for name, _ in files]
    assert [one["p_all"] for one in answer["images"]] == pytest.approx([one.p_all for one in expected], abs=1e-6)
    assert [one["call"] for one in answer["images"]] == [one.call for one in expected]
    assert [one["flags"] for one in answer["images"]] == [list(one.flags) for one in expected]
    assert [one["subject"] for one in answer["subjects"]] == ["1", "2", "3"]


def test_every_answer_names_its_version_and_its_warning(server: Running) -> None:
    _, answer = server.post("/predict", ("a.png", cell_png()))
    assert answer["model"]["version"] == "1"
    assert answer["model"]["name"] == "leukoscope-cells"
    assert "synthetic cells" in answer["warning"]
    assert "untrained" in answer["warning"]
    assert server.get("/health") == (200, {"status": "ok", "version": "1"})
    about = server.get("/model")[1]
    assert about["model"] == answer["model"]
    assert about["limits"] == {"images": 6, "image_mb": 1.0, "image_megapixels": 4.0, "upload_mb": 200.0}


def test_bad_files_are_listed_and_the_others_scored(server: Running) -> None:
    files = [("notes.txt", b"no picture"), ("a.png", cell_png()), ("empty.bmp", b"")]
    status, answer = server.post("/predict", *files)
    assert status == 200
    assert [(one["position"], one["file"]) for one in answer["images"]] == [(1, "a.png")]
    assert [(one["position"], one["file"]) for one in answer["unreadable"]] == [(0, "notes.txt"), (2, "empty.bmp")]


@pytest.mark.parametrize("what", NO_PICTURE)
@pytest.mark.parametrize("path", ["/predict", "/explain"])
def test_what_is_no_readable_picture_is_refused_in_a_sentence(server: Running, path: str, what: str) -> None:
    data, reason = NO_PICTURE[what]
    status, answer = server.post(path, ("a picture.png", data))
    assert status == 422
    assert re.search(rf"^a picture\.png: .*{reason}", sentence(answer))


def test_a_picture_that_is_not_one_cell_on_black_is_flagged_and_not_called(server: Running) -> None:
    _, answer = server.post("/predict", ("black.png", encoded(np.zeros((450, 450, 3), np.uint8), ".png")))
    assert answer["images"][0]["call"] is None
    assert answer["images"][0]["flags"] == ["no-cell"]


@pytest.mark.parametrize(
    ("path", "files", "field", "status", "said"),
    [
        ("/predict", [], "images", 422, "there is no picture in the request"),
        ("/predict", [("a.png", b"x")] * 7, "images", 413, "more than 6 pictures in one request"),
        ("/predict", [("a.png", b"x")], "pictures", 422, "a field that is not called images"),
        ("/explain", [("a.png", b"x")] * 2, "images", 422, "one picture at a time is explained"),
    ],
)
def test_what_is_not_asked_as_it_should_be_says_how(
    server: Running, path: str, files: list[tuple[str, bytes]], field: str, status: int, said: str
) -> None:
    refused, answer = server.post(path, *files, field=field)
    assert refused == status
    assert said in sentence(answer)


@pytest.mark.parametrize(
    ("kind", "body", "status", "said"),
    [
        ("application/json", b"{}", 415, "application/json is not understood here: send the pictures as multipart"),
        ("multipart/form-data", b"x", 400, "the upload is not valid (missing boundary in multipart)"),
        (f"multipart/form-data; boundary={BOUNDARY}", b"no boundary at all", 400, "the upload is not valid"),
        (f"multipart/form-data; boundary={BOUNDARY}", form([("a.png", cell_png())])[:-200], 400, "was cut off"),
    ],
)
def test_a_body_that_is_no_upload_is_refused_in_a_sentence(
    server: Running, kind: str, body: bytes, status: int, said: str
) -> None:
    request = urllib.request.Request(f"{server.url}/predict", body, {"Content-Type": kind})
    refused, answer = answered(request)
    assert refused == status
    assert said in sentence(answer)


def test_an_unknown_address_and_another_method_are_a_sentence(server: Running) -> None:
    assert server.get("/UID_4_1_1_all.bmp")[0] == 404
    assert server.get("/predict")[0] == 405
    sentence(server.get("/predict")[1])


# What browsers, scripts and attackers send: pieces of real uploads in other orders, cut, repeated, or none at all.
PIECES = st.sampled_from(
    [
        f"--{BOUNDARY}".encode(),
        f"--{BOUNDARY}--\r\n".encode(),
        b"\r\n",
        b"\r\n\r\n",
        b'Content-Disposition: form-data; name="images"; filename="a.png"\r\n\r\n',
        b"Content-Disposition: form-data; name=\"images\"; filename*=utf-8''%ff%00\r\n\r\n",
        b"Content-Disposition: form-data\r\n\r\n",
        b"Content-Type: text/plain; charset=no-such-one\r\n",
        cell_png(),
        cell_png()[:1000],
    ]
)
BODIES = st.lists(PIECES | st.binary(max_size=40), max_size=8).map(b"".join)
KINDS = st.sampled_from(
    [
        f"multipart/form-data; boundary={BOUNDARY}",
        f"multipart/form-data; boundary={BOUNDARY}; charset=utf-7",
        'multipart/form-data; boundary=""',
        f"multipart/form-data; boundary={'x' * 300}",
        "multipart/form-data; boundary*=utf-8''%ff",
        "Multipart/Form-Data",
        "",
    ]
)


@given(kind=KINDS, body=BODIES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_that_is_sent_is_a_mistake_of_the_servers(server: Running, kind: str, body: bytes) -> None:
    status, answer = answered(urllib.request.Request(f"{server.url}/predict", body, {"Content-Type": kind}))
    assert status == 200 or 400 <= status < 500
    if status != 200:
        sentence(answer)


def test_names_come_back_as_they_were_and_stay_out_of_the_log(server: Running) -> None:
    name = "<img src=x onerror=alert(1)> Müller, Käthe.png"
    _, answer = server.post("/predict", (name, cell_png()), ("Meier.txt", b"no picture"))
    assert answer["images"][0]["file"] == name
    server.get("/UID_77_Schulze?token=secret")
    for word in ("ller", "Meier", "Schulze", "secret", "onerror"):
        assert word not in server.log
    assert re.search(r"INFO POST /predict 200 in \d+ ms, 2 pictures", server.log)


def test_the_description_is_openapi_and_names_no_other_server(server: Running) -> None:
    described = server.get("/openapi.json")[1]
    assert described["openapi"].startswith("3.")
    assert set(described["paths"]) == {"/health", "/model", "/predict", "/explain"}
    body = described["paths"]["/predict"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert body["schema"]["properties"]["images"]["items"] == {"type": "string", "format": "binary"}
    assert server.get("/docs")[0] == 404  # FastAPI's would load its scripts from a CDN


def test_every_answer_carries_the_headers_that_keep_a_browser_safe(server: Running) -> None:
    for path in ("/", "/page/main.js", "/health"):
        with urllib.request.urlopen(f"{server.url}{path}", timeout=600) as answer:
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"


def test_many_clients_at_once_each_get_their_own_answers(server: Running) -> None:
    files = {seed: (f"{seed}.png", cell_png(seed)) for seed in range(4)}
    alone = {seed: server.post("/predict", file)[1]["images"][0]["p_all"] for seed, file in files.items()}
    together = threading.Barrier(12)

    def ask(number: int) -> None:
        together.wait()
        status, answer = server.post("/predict", files[number % 4], files[(number + 1) % 4])
        assert status == 200
        assert [one["p_all"] for one in answer["images"]] == [alone[number % 4], alone[(number + 1) % 4]]

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(ask, range(12)))


def test_a_heat_map_is_a_picture_of_what_the_model_sees(server: Running) -> None:
    status, png = server.post("/explain", ("a.png", cell_png()))
    assert status == 200, png
    drawn = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape == (64, 64, 3)
    assert (drawn.max(axis=2) != drawn.min(axis=2)).any()  # coloured over the grey


def test_an_upload_is_never_written_to_the_disk(open_server: Running) -> None:
    """Shown by a server that may write no file of its size: Starlette's own parser would need one."""
    photograph = encoded(np.random.default_rng(1).integers(0, 255, (1500, 1500, 3), np.uint8), ".bmp")
    assert len(photograph) > 6_000_000
    process = open_server.process.pid
    before = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        status, answer = open_server.post("/predict", ("photograph.bmp", photograph))
    finally:
        resource.prlimit(process, resource.RLIMIT_FSIZE, before)
    assert status == 200, open_server.log
    assert answer["images"][0]["call"] is None
