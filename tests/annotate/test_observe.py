"""A request's id, and what is said where nothing else knew an answer."""

import re

import pytest
from web import Server

LINKS = ("/login/once/sesame", "/invite/sesame", "/reset/sesame")
GIVEN = {"X-Request-ID": "abc-123"}


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("annotate.app._mount_pages", lambda *_pages: None)
        made = Server(tmp_path_factory.mktemp("observed"))
    yield made
    made.store.close()


def test_every_answer_has_an_id_that_only_a_trusted_proxy_may_choose(live):
    client = live.client()
    seen = {client.get(path, headers=GIVEN).headers["x-request-id"] for path in ("/healthz", "/no")}
    assert len(seen) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in seen)


def test_an_error_is_quoted_by_its_id_and_logged_once(live, monkeypatch, caplog):
    client = live.client("ann")
    monkeypatch.setattr(live.desk, "progress", lambda *_a: 1 / 0)
    answer = client.get("/api/progress")
    assert answer.status_code == 500
    request_id = answer.headers["x-request-id"]
    assert answer.json() == {
        "detail": f"An error of the server, noted in its log (request {request_id}). "
        "Nothing was lost; try again."
    }
    (record,) = [r for r in caplog.records if r.levelname == "ERROR"]
    assert record.exc_info[0] is ZeroDivisionError
    assert record.route == "/api/progress"


def test_a_link_that_signs_in_is_not_logged(live, caplog):
    caplog.set_level("DEBUG")
    for path in LINKS:
        live.client().get(path)
    ours = [r for r in caplog.records if not r.name.startswith(("httpx", "httpcore", "asyncio"))]
    routes = [getattr(r, "route", "") for r in ours]
    assert sum(route.endswith("{token}") for route in routes) == len(LINKS)
    assert not any("sesame" in str(r.__dict__) for r in ours)


def test_without_a_metrics_token_only_admins_read_the_numbers(live):
    for bearer in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer None"}):
        assert live.client().get("/metrics", headers=bearer).status_code == 401
    assert live.client("ann").get("/metrics").status_code == 403
    assert live.client("lead").get("/metrics").is_success
