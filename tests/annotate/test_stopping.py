"""The end of the labeling server: nothing new is taken, and whoever stops it hears of what goes on."""

import signal
import sys
from contextlib import closing

import httpx
import pytest
from serving import listening
from web import Server, decision, runner_of

from annotate.accounts import start_session
from annotate.stopping import MESSAGE
from pairloop.serve import tell_of_child
from storage.judgments import judgments


def test_from_the_signal_on_every_request_is_refused_so_that_the_page_keeps_it(
    tmp_path, monkeypatch, caplog
):
    """And whoever looks into the log sees what was refused, by the id that the answer has."""
    monkeypatch.setattr("annotate.app._mount_pages", lambda *_pages: None)
    server = Server(tmp_path)
    with closing(server.store):
        ann = server.client("ann")
        one, other = ann.get("/api/pairs", params={"count": 2}).json()["pairs"]
        assert ann.post("/api/judgments", json=decision(one)).is_success

        server.app.state.stopping.begin()
        caplog.set_level("INFO", logger="annotate.observe")
        answer = ann.post("/api/judgments", json=decision(other))

        assert (answer.status_code, answer.json()) == (503, {"detail": MESSAGE})
        assert answer.headers["connection"] == "close"
        assert int(answer.headers["retry-after"]) > 0
        assert len(judgments(server.store)) == 1
    (line,) = [r for r in caplog.records if r.name == "annotate.observe"]
    assert (line.route, line.status) == ("/api/judgments", 503)
    assert answer.headers["x-request-id"]
    counted = server.desk.writer.on_commit.__self__.registry.get_sample_value
    assert counted("pairloop_judgments_refused_total", {"reason": "store"}) == 1
    assert counted("pairloop_judgments_acknowledged_total") == 1


def test_answers_without_an_end_do_not_keep_the_server_from_ending(tmp_path):
    """An open admin page holds one: the server would wait for it, then log an error."""
    server = Server(tmp_path)
    stopping = server.app.state.stopping
    cookies = {"pairloop_session": start_session(server.store, "lead", hours=1)}
    with closing(server.store), listening(server.app) as address:
        where = f"{address}/admin/gradio_api/heartbeat/abc"
        with httpx.stream("GET", where, cookies=cookies, timeout=20) as answer:
            assert answer.status_code == 200
            parts = answer.iter_bytes()
            assert next(parts)
            stopping.begin()
            assert len(list(parts)) < 3


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
