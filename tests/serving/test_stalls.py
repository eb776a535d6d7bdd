"""Clients that stall, hang up or send without end, over real sockets: they are let go, and others are answered."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.running import BOUNDARY, STALL, Running, cell_png, form, serving, until

pytestmark = pytest.mark.slow

HEAD = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"


def answers(server: Running) -> bool:
    """Whether it still scores pictures."""
    return server.get("/health")[0] == 200 and server.post("/predict", ("a.png", cell_png()))[0] == 200


def until_closed(client: socket.socket) -> bytes:
    """What comes until the server closes the connection; raises TimeoutError where it does not."""
    received = b""
    try:
        while piece := client.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def answer_of(client: socket.socket, begun: bytes = b"") -> tuple[int, str]:
    """Status and sentence of an answer whose first bytes are `begun`."""
    received = begun
    while True:
        head, there, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if there and length and len(body) >= int(length[1]):
            return int(head.split()[1]), json.loads(body)["detail"]
        piece = client.recv(65536)
        assert piece, f"closed after {received!r}"
        received += piece


@pytest.mark.parametrize("first", [b"", b"POST /pre", b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_a_head_that_does_not_come_to_its_end_closes_the_connection(server: Running, first: bytes) -> None:
    with server.connect(timeout=STALL / 4) as client:
        client.sendall(first)
        until(lambda: ended(client, b"a" if first else b""))  # a byte now and then gains no time
    assert answers(server)


def ended(client: socket.socket, more: bytes) -> bool:
    """Whether the connection is closed, without an answer, though `more` was sent."""
    try:
        client.sendall(more)
        assert until_closed(client) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


def test_a_second_request_that_stalls_is_let_go_too(server: Running) -> None:
    with server.connect() as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in client.recv(65536)
        client.sendall(b"GET /hea")
        until_closed(client)
    assert answers(server)


def test_a_body_that_stalls_is_told_so(server: Running) -> None:
    with server.connect() as client:
        client.sendall(f"{HEAD}Content-Length: 100000\r\n\r\n".encode() + form([("a.png", cell_png())])[:500])
        assert answer_of(client) == (408, "nothing came for 2 s: send the pictures again")
        until_closed(client)
    assert answers(server)


def test_many_stalled_uploads_keep_nobody_else_waiting(open_server: Running) -> None:
    stalled = [open_server.connect() for _ in range(50)]
    for number, client in enumerate(stalled):
        client.sendall(f"{HEAD}Content-Length: 100000\r\n\r\n".encode()[: None if number % 2 else 30])
    assert answers(open_server)
    for client in stalled:
        client.setblocking(False)
        with pytest.raises(BlockingIOError):  # it stalls still
            client.recv(1)
        client.close()


@pytest.fixture(scope="module")
def strict(champion_checkout: Path) -> Iterator[Running]:
    """A server whose uploads end at a deadline, and are small."""
    options = ("--stall-seconds", "60", "--upload-seconds", "5", "--max-upload-mb", "0.5", "--max-memory-mb", "0.9")
    with serving(champion_checkout, *options) as running:
        yield running


def test_an_upload_that_trickles_ends_at_its_deadline(strict: Running) -> None:
    with strict.connect() as client:
        client.sendall(f"{HEAD}Content-Length: 100000\r\n\r\n".encode())
        body, said = form([("a.png", cell_png())]), b""
        client.settimeout(0.1)
        for position in range(len(body) - 1):
            client.sendall(body[position : position + 1])
            try:
                said = client.recv(65536)
                break
            except TimeoutError:
                continue
        client.settimeout(120)
        assert answer_of(client, said) == (408, "the upload took longer than 5 s: send fewer pictures at once")
    assert answers(strict)


def test_an_upload_that_is_half_sent_and_hung_up_leaves_the_server_answering(server: Running) -> None:
    whole, left = form([("a.png", cell_png())]), server.log.count(" 499 ")
    for sent in (0, 100, len(whole) // 2, len(whole) - 1):
        with server.connect() as client:
            client.sendall(f"{HEAD}Content-Length: {len(whole)}\r\n\r\n".encode() + whole[:sent])
    assert answers(server)
    until(lambda: server.log.count(" 499 ") == left + 4)  # noted as clients that left, and as nothing worse
    assert "ERROR" not in server.log


def test_who_hangs_up_before_the_answer_leaves_the_server_answering(server: Running) -> None:
    whole = form([(f"{number}.png", cell_png(number)) for number in range(4)])
    for _ in range(5):
        with server.connect() as client:
            client.sendall(f"{HEAD}Content-Length: {len(whole)}\r\n\r\n".encode() + whole)
    assert answers(server)
    assert "ERROR" not in server.log


def test_a_client_that_never_takes_its_answers_is_cut_off(server: Running) -> None:
    """Its socket takes some kilobytes, and it asks for more without reading any: a gigabyte, which no kernel keeps."""
    request = b"GET /page/page.css HTTP/1.1\r\nHost: x\r\nX-Padding: %b\r\n\r\n" % (b"x" * 1000)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        client.settimeout(300)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(1_000_000):
                client.sendall(request)
    assert answers(server)


def test_more_than_may_be_sent_is_refused_before_it_is_sent(server: Running) -> None:
    with server.connect() as client:
        client.sendall(f"{HEAD}Content-Length: 300000000\r\n\r\n".encode())
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")
    with server.connect() as client:
        client.sendall(f"{HEAD}Content-Length: 300000000\r\nExpect: 100-continue\r\n\r\n".encode())
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_body_of_no_stated_size_ends_where_it_is_too_large(strict: Running) -> None:
    with strict.connect() as client:
        client.sendall(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
        client.sendall(chunk(form([("a.png", b"")])[:99]))
        client.sendall(chunk(bytes(30_000)) * 26)  # a little more than the limit with its envelope, 0.756 MB
        assert answer_of(client) == (413, "more than 0.5 MB in one request: send the pictures in parts")
    assert answers(strict)


def chunk(data: bytes) -> bytes:
    """A piece of a body of no stated size."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def test_more_uploads_than_memory_may_hold_are_asked_to_come_again(strict: Running) -> None:
    held = f"{HEAD}Content-Length: 750000\r\n\r\n".encode() + form([("a.png", bytes(700_000))])[:700_000]
    said = until(lambda: refused_beside(held, strict))
    assert said == "the server holds as many uploads as it may: send these pictures again in a moment"
    assert answers(strict)


def refused_beside(held: bytes, server: Running) -> str | None:
    """What an upload is told that the server has no room for; None where it had, since `held` came late or is over."""
    other = form([("b.png", bytes(250_000))])
    with server.connect() as holder:
        holder.sendall(held)
        for _ in range(20):
            with server.connect() as client:
                client.sendall(f"{HEAD}Content-Length: {len(other)}\r\n\r\n".encode() + other)
                status, said = answer_of(client)
            if status == 503:
                return said
    return None


def test_what_is_no_http_is_refused(server: Running) -> None:
    with server.connect() as client:
        client.sendall(b"\x16\x03\x01\x02\x00 hello\r\n\r\n")
        assert b"400 Bad Request" in until_closed(client)
    assert answers(server)
