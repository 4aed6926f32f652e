"""The end of the labeling server: nothing new is taken, and whoever stops it hears of what goes on."""

import signal
import sys

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from web import runner_of

from annotate.stopping import MESSAGE, Stopping
from pairloop.serve import tell_of_child


def test_from_the_signal_on_every_request_is_refused_so_that_the_page_keeps_it():
    app, stopping = FastAPI(), Stopping()
    app.post("/api/judgments")(lambda: {"stored": True})
    app.add_middleware(stopping.gate)
    client = TestClient(app)
    assert client.post("/api/judgments").json() == {"stored": True}

    stopping.begin()

    answer = client.post("/api/judgments")
    assert (answer.status_code, answer.json()) == (503, {"detail": MESSAGE})
    assert answer.headers["connection"] == "close"
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.skipif(sys.platform == "win32", reason="the Rounds page needs fcntl")
def test_a_run_that_outlives_the_pages_is_named_with_how_to_stop_it(tmp_path, caplog):
    runner = runner_of(tmp_path, "import time; time.sleep(60)")
    tell_of_child(runner)
    assert caplog.text == ""
    child = runner.start("train")
    try:
        tell_of_child(runner)
        said = caplog.text
    finally:
        runner.stop(term_after_seconds=0.1)
    assert f"`pairloop train` (process {child.pid}) goes on without the pages" in said
    assert f"kill -{signal.SIGINT.name[3:]} {child.pid}" in said
