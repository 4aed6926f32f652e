"""Liveness and readiness: what anybody is told, and that neither waits for a store that hangs."""

import shutil
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from factories import open_store
from fastapi import FastAPI
from serving import listening, wait_for

from annotate.health import DISK_FULL, FAILED, NO_ANSWER, STOPPING, Health
from annotate.web_health import health_router
from storage.errors import StoreError


@pytest.fixture
def asking(tmp_path, monkeypatch):
    """The served routes; what is put before the store's query, and how often it was asked."""
    before, asked = [lambda: None], []
    with open_store(tmp_path, hold=True) as store:
        query = store.query

        def slow(name, **params):
            asked.append(name)
            before[0]()
            return query(name, **params)

        monkeypatch.setattr(store, "query", slow)
        state, app = Health(store, tmp_path, min_free_mb=0), FastAPI()
        app.include_router(health_router(state))
        with listening(app) as address, httpx.Client(base_url=address, timeout=10) as client:
            yield state, client, before, asked


def not_ready(client):
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["status"] == "not ready"
    return answer.json()["detail"]


def test_readiness_asks_the_store_and_liveness_does_not(asking):
    _, client, _, asked = asking
    assert client.get("/healthz").json() == {"status": "ok"}
    assert asked == []
    for _ in range(5):
        assert client.get("/readyz").json() == {"status": "ready"}
    assert asked == ["pair_count"]  # kept for a second: asking often costs the store nothing


def test_a_store_that_hangs_is_told_in_time_and_holds_up_nobody(asking):
    state, client, before, asked = asking
    state._free._limit = 0.3
    let_go = threading.Event()
    before[0] = let_go.wait
    began = time.monotonic()
    for _ in range(3):
        assert not_ready(client) == NO_ANSWER
        assert client.get("/healthz").is_success
    assert time.monotonic() - began < 5
    assert asked == ["pair_count"]  # one thread hangs, not one per question
    before[0] = lambda: None
    let_go.set()
    wait_for(lambda: client.get("/readyz").is_success)


def test_why_the_store_fails_is_for_the_log_alone(asking, caplog):
    _, client, before, asked = asking

    def fail():
        raise StoreError("/secret/path can't be read")

    before[0] = fail
    assert not_ready(client) == FAILED
    assert "/secret/path" in caplog.text
    before[0] = lambda: 1 / 0
    times = len(asked)
    wait_for(lambda: not_ready(client) == FAILED and len(asked) > times)


def test_a_disk_that_is_nearly_full_is_no_place_for_judgments(asking, tmp_path):
    """The real disk's free space, against a threshold above and below it."""
    state, client, _, _ = asking
    free = shutil.disk_usage(tmp_path).free
    state._min_free_bytes = free * 2
    assert not_ready(client) == DISK_FULL
    state._min_free_bytes = free // 2
    assert client.get("/readyz").json() == {"status": "ready"}


def test_a_server_that_stops_says_so_and_lives(asking):
    state, client, _, _ = asking
    state.stopping = True
    assert not_ready(client) == STOPPING
    assert client.get("/healthz").is_success


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_server_that_nobody_asks_sleeps(server):
    """Left alone, the event queues of Gradio's mounts would wake it some thousand times a second."""

    def wakings():
        said = [task.read_text() for task in Path("/proc/self/task").glob("*/status")]
        return sum(int(text.split("\nvoluntary_ctxt_switches:")[1].split()[0]) for text in said)

    with listening(server.app) as address:
        httpx.get(f"{address}/readyz")
        time.sleep(0.5)
        before = wakings()
        time.sleep(2)
        assert wakings() - before < 600
