"""A request's id, and what is said where nothing else knew an answer."""

import re

import pytest

GIVEN = {"X-Request-ID": "abc-123"}


def test_every_answer_has_an_id_that_only_a_trusted_proxy_may_choose(own):
    client = own.client()
    seen = {client.get(path, headers=GIVEN).headers["x-request-id"] for path in ("/healthz", "/no")}
    assert len(seen) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in seen)


def test_an_error_is_quoted_by_its_id_and_logged_once(own, monkeypatch, caplog):
    client = own.client("ann")
    monkeypatch.setattr(own.desk, "progress", lambda *_a: 1 / 0)
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


@pytest.mark.parametrize("path", ["/login/once/sesame", "/invite/sesame", "/reset/sesame"])
def test_a_link_that_signs_in_is_not_logged(own, caplog, path):
    caplog.set_level("DEBUG")
    own.client().get(path)
    ours = [r for r in caplog.records if not r.name.startswith(("httpx", "httpcore", "asyncio"))]
    assert any(getattr(r, "route", "").endswith("{token}") for r in ours)
    assert not any("sesame" in str(r.__dict__) for r in ours)
