"""How the labeling server says no, and what it shows an admin."""

from dataclasses import replace

import pytest
from web import decision, finished

from storage.errors import StoreError
from storage.run_records import RunEvent, RunKind, RunStatus
from storage.runs import RunLog
from storage.store import utc_now


def test_errors_are_sentences(server):
    client = server.client("ann")
    assert client.get("/nothing").json() == {"detail": "Not Found"}
    assert client.delete("/api/judgments").status_code == 405
    for body in (b"{", b"[]", b"\xff\xfe", b'"x"', b"null", b"[" * 1000):
        answer = client.post(
            "/api/judgments", content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in (400, 422), body
        assert isinstance(answer.json()["detail"], str)
        assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/admin/", 403, "This is for admins."),
        ("/nothing", 404, "There is no such page."),
        ("/label/nothing", 404, "There is no such page."),
    ],
)
def test_a_browser_is_refused_with_a_page_that_leads_on(server, path, status, said):
    client = server.client("ann")
    answer = client.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert said in answer.text
    assert 'href="/label/"' in answer.text
    assert client.get(path).json()["detail"], "a script gets what it can read"


def test_a_store_that_does_not_answer_asks_to_try_again(own, monkeypatch):
    """5xx, so that the browser keeps the judgment; and nothing of the cause is told."""
    client = own.client("ann")
    card = client.get("/api/pairs").json()["pairs"][0]

    def fail(*_args, **_named):
        raise StoreError("/secret/path can't be written")

    monkeypatch.setattr(own.desk, "submit", fail)
    answer = client.post("/api/judgments", json=decision(card))
    assert answer.status_code == 503
    assert "secret" not in answer.text
    monkeypatch.setattr(own.desk, "submit", lambda *_a, **_k: 1 / 0)
    answer = client.post("/api/judgments", json=decision(card))
    assert answer.status_code == 500
    assert answer.json()["detail"].startswith("An error of the server")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_body_may_not_be_huge(server):
    client = server.client("ann")
    answer = client.post("/api/judgments", content=b"x" * 1_100_000)
    assert answer.status_code == 413

    def endless():
        yield b"{"

    assert client.post("/api/judgments", content=endless()).status_code == 411


def test_health_needs_no_sign_in(server):
    assert server.client().get("/healthz").json() == {"status": "ok"}
    assert server.client().get("/readyz").json() == {"status": "ready"}


def test_the_pages_load_nothing_from_outside(server):
    client = server.client("lead")
    for path in ("/login", "/docs"):
        text = client.get(path).text
        assert "http://" not in text
        assert "https://" not in text


def test_the_documentation_lists_our_routes(server):
    client = server.client("lead")
    assert "POST /api/judgments" in client.get("/docs").text
    paths = client.get("/openapi.json").json()["paths"]
    assert "/api/pairs" in paths
    assert not any(path.startswith(("/label", "/admin", "/login")) for path in paths)


# ---- admin ----------------------------------------------------------------------------------


def test_the_admin_numbers(own):
    client = own.client("ann")
    for card in client.get("/api/pairs", params={"count": 5}).json()["pairs"]:
        client.post("/api/judgments", json=decision(card))
    lead = own.client("lead")
    status = lead.get("/api/status").json()
    assert status["rounds"][0]["votes"] == 5
    assert status["next"] == "Label round 0: 12 pairs still want votes."
    assert lead.get("/api/agreement").json()["judgments"] == 5


def test_until_all_votes_are_read_the_progress_tab_shows_what_is_known(own):
    from annotate.admin_progress import progress_html

    client = own.client("ann")
    for card in client.get("/api/pairs", params={"count": 5}).json()["pairs"]:
        client.post("/api/judgments", json=decision(card))
    shown = progress_html(None, own.desk.queue_states())
    assert "shows them as soon as they are there" in shown
    assert '<p class="big">5' in shown
    assert "of 12 pairs to label" in shown


def test_of_many_people_the_progress_tab_lists_who_judged_most(own):
    from annotate.accounts import add_labeler
    from annotate.admin_progress import progress_html
    from annotate.overview import overview

    client = own.client("ann")
    for card in client.get("/api/pairs", params={"count": 3}).json()["pairs"]:
        client.post("/api/judgments", json=decision(card))
    for i in range(40):
        add_labeler(own.store, f"aa{i:02}", password=None)
    seen = overview(own.store, own.config)
    shown = progress_html(seen, own.desk.queue_states())
    table = shown.partition("<h2>Labelers</h2>")[2]
    assert table.index("<td>ann</td>") < table.index("<td>aa00</td>")
    assert table.count("<tr>") == 31
    assert f"{len(seen.people) - 30} more labelers are in the People tab." in shown


def test_the_admin_page_shows_hostile_names_as_text(own):
    from annotate.accounts import add_labeler
    from annotate.admin_progress import progress_html
    from annotate.overview import overview
    from annotate.rounds_html import live_html, policies_html

    add_labeler(own.store, "<img src=x onerror=alert(1)>", password=None)
    shown = progress_html(overview(own.store, own.config), own.desk.queue_states())
    shown += policies_html(own.store, own.folder)
    assert "<img" not in shown
    assert "&lt;img src=x" in shown
    runner = finished(own.folder, "print('<script>alert(1)</script>')")
    log = RunLog(own.store, RunKind.TRAIN, number=0, config={})
    own.store.append([replace(log.run, id="of-the-child", pid=runner.state().pid)])
    for step in (0, 1):
        event = RunEvent(
            run_id="of-the-child",
            sequence=step,
            status=RunStatus.RUNNING,
            progress=0.5,
            message="<script>alert(1)</script>",
            metrics={"loss": 0.5 - step / 10, "<b>": 1.0},
            created_at=utc_now(),
        )
        own.store.append([event])
    live = live_html(own.store, runner)
    assert "<polyline" in live
    assert live.count("&lt;script&gt;") == 2
    for raw in ("<script>", "<b>&", "<b></b>"):
        assert raw not in live


def test_runs_and_their_events_are_listed(own):
    log = RunLog(own.store, RunKind.TRAIN, number=0, config={})
    log.event("step 1", progress=0.5, metrics={"loss": 0.6})
    log.event("done", progress=1.0, status=RunStatus.DONE)
    answer = own.client("lead").get("/api/rounds").json()
    assert [e["message"] for e in answer["runs"][0]["events"]] == ["step 1", "done"]
    assert answer["child"]["running"] is False
