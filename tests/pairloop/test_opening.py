"""What a server says before it has read its store, and after it was told to end."""

import signal
import socket
import threading
import time

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from serving import wait_for

from annotate.health import Health
from annotate.stopping import Stopping
from pairloop.opening import STARTING, LastWords, starting
from storage.store import Store


@pytest.fixture
def listener():
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        made.listen(16)
        yield made


def address_of(listener):
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_while_it_starts_it_is_alive_and_not_ready(listener):
    address = address_of(listener)
    with starting(listener) as opening:
        assert httpx.get(f"{address}/healthz").json() == {"status": "ok"}
        for method, path in (("GET", "/readyz"), ("POST", "/api/judgments"), ("GET", "/metrics")):
            answer = httpx.request(method, address + path)
            assert answer.status_code == 503
            assert answer.json() == {"status": "not ready", "detail": STARTING}
            assert answer.headers["retry-after"] == "2"
        page = httpx.get(f"{address}/label/", headers={"Accept": "text/html"})
        assert page.status_code == 503
        assert page.headers["refresh"] == "2"
        assert STARTING in page.text
        assert "prefers-color-scheme: dark" in page.text  # it looks like the pages that follow
        opening.close()
        # Whoever comes between the two waits for the second, and is answered by it.
        app, found = FastAPI(), []
        app.get("/late")(lambda: "here")
        asking = threading.Thread(target=lambda: found.append(httpx.get(f"{address}/late")))
        asking.start()
        time.sleep(0.2)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        serving = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        serving.start()
        asking.join(timeout=20)
        assert found[0].json() == "here"
        server.should_exit = True
        serving.join(timeout=20)


def test_a_start_that_fails_leaves_nothing_behind(listener):
    with pytest.raises(ValueError, match="no such store"), starting(listener):
        raise ValueError("no such store")
    assert not any(t.name == "pairloop-starting" for t in threading.enumerate())


@pytest.fixture
def ending(tmp_path, listener):
    """A server that drains, and how to tell it to end."""
    with Store(tmp_path / "pairloop.duckdb", hold=True) as store:
        health = Health(store, tmp_path, min_free_mb=0)
        app = FastAPI()

        @app.get("/readyz")
        async def readyz():
            return await health.refusal()

        made = []

        def start(drain_seconds):
            server = LastWords(
                uvicorn.Config(app, log_level="error"),
                health=health,
                stopping=Stopping(),
                drain_seconds=drain_seconds,
            )
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            made.append((server, thread))
            wait_for(lambda: server.started)
            return server, thread

        yield start
        for server, thread in made:
            server.should_exit = True
            thread.join(timeout=20)


def test_told_to_end_it_first_says_so(ending, listener):
    server, thread = ending(1.0)
    address = address_of(listener)
    assert httpx.get(f"{address}/readyz").json() == ""
    began = time.monotonic()
    server.handle_exit(signal.SIGTERM, None)
    assert httpx.get(f"{address}/readyz").json() == "The server is stopping."
    thread.join(timeout=20)
    assert time.monotonic() - began >= 1.0


@pytest.mark.parametrize(("drain_seconds", "times"), [(0.0, 1), (60.0, 2)])
def test_without_a_drain_or_told_twice_it_ends_at_once(ending, drain_seconds, times):
    server, thread = ending(drain_seconds)
    for _ in range(times):
        server.handle_exit(signal.SIGINT, None)
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert not server.force_exit
