"""Requests that never end, or whose head does not, cost the server and everybody else nothing."""

import socket
import time

import httpx
import pytest
from serving import listening

from pairloop.bounded_http import MAX_HEAD_BYTES, BoundedHttp

PIECE = b"a" * 65536


class Hasty(BoundedHttp):
    request_seconds = 0.5


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    length, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length, more = length + len(message["body"]), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(length).encode()})


@pytest.fixture(scope="module")
def address():
    with listening(app, http=BoundedHttp, lifespan="off") as found:
        yield found


def said(address, *pieces):
    """What the server says before it hangs up, or no more comes."""
    host, port = address.removeprefix("http://").split(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            while part := connection.recv(4096):
                answer += part
        except OSError:
            pass
    return answer


@pytest.mark.parametrize(
    "begins",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: ",
        b"GET /",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: ",
    ],
    ids=["header", "path", "trailer"],
)
def test_a_head_without_an_end_is_cut_off(address, begins):
    began = time.monotonic()
    answer = said(address, begins, *[PIECE] * 100)
    assert time.monotonic() - began < 3
    assert b" 200 " not in answer
    assert answer.startswith(b"HTTP/1.1 400") or not answer  # the rest that was sent resets it


def test_what_is_long_and_allowed_arrives(address):
    headers = {"X-Long": "a" * (MAX_HEAD_BYTES - 2000)}
    with httpx.Client(base_url=address) as client:
        for _ in range(3):
            assert client.post("/", content=PIECE * 20, headers=headers).text == str(65536 * 20)


@pytest.mark.parametrize(
    "begins",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\na",
    ],
    ids=["nothing", "head", "body"],
)
def test_a_request_that_does_not_arrive_is_not_waited_for(begins):
    with listening(app, http=Hasty, lifespan="off") as address:
        began = time.monotonic()
        assert said(address, begins) == b""
        assert 0.4 < time.monotonic() - began < 3
