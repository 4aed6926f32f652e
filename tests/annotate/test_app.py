"""The labeling server's routes: who may do what, and what an answer may hold."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from factories import PASSWORD, fill_store, open_store
from fastapi.testclient import TestClient

from annotate.app import create_app
from annotate.config import AnnotateConfig
from annotate.desk import Desk
from annotate.rounds import RoundRunner
from annotate.web_login import Attempts
from storage import judgments as judging
from storage.errors import ConflictError, StoreError
from storage.records import RunEvent, RunKind, RunStatus
from storage.runs import RunLog
from storage.store import utc_now

ORIGIN = "http://testserver"
ADMIN_ROUTES = [
    ("GET", "/admin/"),
    ("GET", "/admin/config"),
    ("POST", "/admin/gradio_api/run/predict"),
    ("POST", "/admin/gradio_api/queue/join"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("GET", "/api/agreement"),
    ("GET", "/api/status"),
    ("GET", "/api/rounds"),
    ("POST", "/api/rounds/generate"),
    ("POST", "/api/rounds/train"),
    ("POST", "/api/rounds/stop"),
]
LABELER_ROUTES = [
    ("GET", "/label/"),
    ("GET", "/label/config"),
    ("GET", "/api/me"),
    ("GET", "/api/pairs"),
    ("GET", "/api/progress"),
    ("GET", "/api/guidelines"),
    ("POST", "/api/judgments"),
    ("POST", "/api/undo"),
]


class Server:
    """The app over one filled store, and clients that are signed in."""

    def __init__(self, folder: Path, **config):
        self.folder = folder
        self.tokens = {}  # by name: hashing a password takes its time on purpose
        self.store = open_store(folder, hold=True)
        self.filled = fill_store(self.store)
        (folder / "guidelines.md").write_text("# Be *fair* <script>alert(1)</script>")
        self.config = AnnotateConfig(**config)
        self.desk = Desk(self.store, self.config)
        self.app = create_app(
            desk=self.desk,
            store=self.store,
            workspace=folder,
            config=self.config,
            one_time_logins={"token-of-ann": "ann"},
            notice="a <b>micro</b> model",
        )

    def client(self, name: str | None = None) -> TestClient:
        client = TestClient(
            self.app, base_url=ORIGIN, follow_redirects=False, raise_server_exceptions=False
        )
        if name and name not in self.tokens:
            answer = client.post("/login", data={"name": name, "password": PASSWORD})
            assert answer.status_code == 303, answer.text
            self.tokens[name] = client.cookies["pairloop_session"]
        elif name:
            client.cookies.set("pairloop_session", self.tokens[name])
        return client


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server(tmp_path_factory.mktemp("app"))
    yield made
    made.store.close()


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A server to change, without the two Gradio pages, which take a second to build."""
    monkeypatch.setattr("annotate.app._mount_pages", lambda *_pages: None)
    made = Server(tmp_path)
    yield made
    made.store.close()


def decision(card, **changes):
    body = {
        "key": f"key-of-{card['presentation'][-12:]}",
        "presentation": card["presentation"],
        "choice": "left",
        "strength": "clear",
        "seconds": 2.5,
    }
    return body | changes


# ---- signing in -----------------------------------------------------------------------------


def test_signing_in_sets_a_cookie_scripts_cannot_read(server):
    answer = server.client().post("/login", data={"name": "ann", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert answer.headers["location"] == "/label/"
    assert cookie.startswith("pairloop_session=")
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert "Secure" not in cookie
    assert len(cookie.split(";")[0]) > 40


def test_behind_https_the_cookie_is_secure(tmp_path, monkeypatch):
    monkeypatch.setattr("annotate.app._mount_pages", lambda *_pages: None)
    made = Server(tmp_path, secure_cookie=True)
    answer = made.client().post("/login", data={"name": "ann", "password": PASSWORD})
    assert "Secure" in answer.headers["set-cookie"]
    made.store.close()


def test_the_store_holds_no_token(own):
    client = own.client("ann")
    token = client.cookies["pairloop_session"]
    with own.store.connected() as connection:
        rows = connection.query("select * from session_rows", {}).to_pylist()
    assert rows
    assert token not in str(rows)


@pytest.mark.parametrize(
    ("name", "password"),
    [("ann", "wrong"), ("nobody", PASSWORD), ("", ""), ("ann", ""), ("ANN", PASSWORD)],
)
def test_a_wrong_name_or_password_is_told_the_same(own, name, password):
    answer = own.client().post("/login", data={"name": name, "password": password})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "This name and password do not match." in answer.text


def test_guessing_is_slowed_down(own):
    client = own.client()
    codes = [
        client.post("/login", data={"name": "ann", "password": f"guess {n}"}).status_code
        for n in range(12)
    ]
    assert codes[:10] == [401] * 10
    assert codes[10:] == [429, 429]
    forged = {"X-Forwarded-For": "9.9.9.9", "CF-Connecting-IP": "9.9.9.9"}
    right = client.post("/login", data={"name": "ann", "password": PASSWORD}, headers=forged)
    assert right.status_code == 429
    assert int(right.headers["retry-after"]) > 0
    assert client.post("/login", data={"name": "bob", "password": PASSWORD}).status_code == 303


def test_attempts_are_forgotten_after_a_while():
    attempts = Attempts()
    for _ in range(10):
        assert attempts.begin(name="ann", peer="1.2.3.4", now=100.0)
    assert not attempts.begin(name="ann", peer="5.6.7.8", now=200.0)
    assert attempts.begin(name="ann", peer="1.2.3.4", now=500.0)


def test_one_address_cannot_try_every_name():
    attempts = Attempts()
    tried = [attempts.begin(name=f"n{n}", peer="1.2.3.4", now=float(n)) for n in range(40)]
    assert sum(tried) == 30
    assert attempts.begin(name="n1", peer="5.6.7.8", now=40.0)


def test_signing_out_ends_the_session_everywhere(own):
    client = own.client("ann")
    other = own.client()
    other.cookies.set("pairloop_session", client.cookies["pairloop_session"])
    assert other.get("/api/me").status_code == 200
    assert client.get("/logout").status_code == 405
    assert client.post("/logout").headers["location"] == "/login"
    assert other.get("/api/me").status_code == 401


def test_a_one_time_link_works_once_and_only_when_pressed(own):
    client = own.client()
    for _ in range(2):  # a preview of the link must not use it up
        page = client.get("/login/once/token-of-ann")
        assert "Sign in as ann" in page.text
        assert "set-cookie" not in page.headers
    assert client.post("/login/once/token-of-ann").status_code == 303
    assert client.get("/api/me").json()["name"] == "ann"
    assert own.client().get("/login/once/token-of-ann").status_code == 404
    assert own.client().post("/login/once/token-of-ann").status_code == 404


def test_the_first_page_leads_to_the_right_place(server):
    assert server.client().get("/").headers["location"] == "/login"
    assert server.client("ann").get("/").headers["location"] == "/label/"
    assert server.client("ann").get("/login").headers["location"] == "/label/"


@pytest.mark.parametrize("cookie", ["x", "a" * 5000, "%00", "a b", "'; drop table", "é".encode()])
def test_a_made_up_cookie_is_nobody(server, cookie):
    value = cookie if isinstance(cookie, bytes) else cookie.encode()
    answer = server.client().get("/api/me", headers={"Cookie": b"pairloop_session=" + value})
    assert answer.status_code == 401


# ---- who may do what ------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), ADMIN_ROUTES + LABELER_ROUTES)
def test_nothing_is_open_without_signing_in(server, method, path):
    answer = server.client().request(method, path)
    assert answer.status_code in (401, 405)
    assert answer.json()["detail"]
    page = server.client().get(path, headers={"Accept": "text/html"})
    assert page.headers["location"] == "/login"


@pytest.mark.parametrize(("method", "path"), ADMIN_ROUTES)
@pytest.mark.parametrize("suffix", ["", "?x=1"])
def test_labelers_cannot_reach_what_is_for_admins(server, method, path, suffix):
    answer = server.client("ann").request(method, path + suffix, json={})
    assert answer.status_code == 403
    assert answer.json() == {"detail": "This is for admins."}


def test_disguised_paths_do_not_reach_the_admin_pages(server):
    client = server.client("ann")
    for path in (
        "/label//admin/",
        "/admin%2f",
        "/%61dmin/",
        "/label/../admin/",
        "/ADMIN/",
        "/admin//",
    ):
        answer = client.get(path)
        assert answer.status_code in (403, 404), path


@pytest.mark.parametrize(("method", "path"), ADMIN_ROUTES[:2] + ADMIN_ROUTES[4:9])
def test_admins_may(server, method, path):
    assert server.client("lead").request(method, path).status_code == 200


@pytest.mark.parametrize(("method", "path"), LABELER_ROUTES[:6])
def test_labelers_may_label(server, method, path):
    assert server.client("ann").request(method, path).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "upload",
        "file=/etc/passwd",
        "file=pairloop.duckdb",
        "file/etc/passwd",
        "file=http://169.254.169.254/latest/meta-data",
        "proxy=http://example.org",
        "token",
        "component_server",
        "stream/x/y/z/playlist.m3u8",
        "call/tick",
    ],
)
@pytest.mark.parametrize("name", ["ann", "lead"])
def test_gradio_routes_nobody_needs_are_closed(server, path, name):
    client = server.client(name)
    mount = "/label" if name == "ann" else "/admin"
    assert client.get(f"{mount}/gradio_api/{path}").status_code == 404
    assert client.post(f"{mount}/gradio_api/{path}", content=b"x").status_code in (404, 405)


def test_the_labeling_page_has_no_events_to_call(server):
    answer = server.client("ann").post("/label/gradio_api/run/predict", json={"data": []})
    assert answer.status_code == 405
    assert server.client("ann").get("/label/config").json()["dependencies"] == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://testserver.evil.example"},
        {"Origin": "http://testserver:81"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/api/judgments", "/api/undo", "/logout", "/login"])
def test_other_sites_cannot_act(server, headers, path):
    answer = server.client("ann").post(path, json={}, headers=headers)
    assert answer.status_code == 403
    assert answer.json() == {"detail": "This request comes from another site."}


def test_our_own_pages_can_act(server):
    answer = server.client("ann").post(
        "/api/undo", json={"key": "k" * 8}, headers={"Origin": ORIGIN}
    )
    assert answer.status_code == 200


def test_no_other_site_may_read(server):
    client = server.client("lead")
    for path in ("/api/me", "/label/config", "/admin/config"):
        answer = client.get(
            path, headers={"Origin": "https://evil.example", "Host": "pairs.example"}
        )
        assert "access-control-allow-origin" not in answer.headers
        preflight = client.options(
            path,
            headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
        )
        assert "access-control-allow-origin" not in preflight.headers


@pytest.mark.parametrize(
    "path", ["/login", "/api/me", "/api/nothing", "/label/", "/admin/", "/healthz", "/api/rounds"]
)
def test_every_answer_carries_the_security_headers(server, path):
    headers = server.client("lead").get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    policy = headers["content-security-policy"]
    assert "default-src" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http:" not in policy
    if not path.startswith(("/label", "/admin")):
        assert "default-src 'none'" in policy
        assert headers["cache-control"] == "no-store"


# ---- labeling -------------------------------------------------------------------------------


def test_a_card_is_blind(server):
    """No model, setting, score, stored order or other person's vote leaves the server."""
    client = server.client("bob")
    pairs = client.get("/api/pairs", params={"count": 4}).json()["pairs"]
    assert set(pairs[0]) == {
        "presentation",
        "prompt_html",
        "left_html",
        "right_html",
        "prompt_text",
        "left_text",
        "right_text",
    }
    everything = "".join(
        client.get(path).text
        for path in ("/api/pairs", "/api/progress", "/api/me", "/api/guidelines", "/label/config")
    ) + json.dumps(pairs)
    ids = [r.id for r in server.filled.responses] + [p.id for p in server.filled.pairs]
    secrets = [server.filled.policy.id, server.filled.policy.base_model, "temperature", "logprob"]
    for secret in ids + secrets:
        assert secret not in everything


def test_the_two_sides_differ_between_people_somewhere(server):
    def left_of(name):
        client = server.client(name)
        cards = client.get("/api/pairs", params={"count": 12}).json()["pairs"]
        return {card["prompt_text"]: card["left_text"] for card in cards}

    ann, bob = left_of("ann"), left_of("bob")
    shared = ann.keys() & bob.keys()
    assert shared
    assert len({ann[p] == bob[p] for p in shared}) == 2


def test_a_judgment_is_stored_in_the_order_of_the_pair(own):
    client = own.client("ann")
    texts = {r.id: r.text for r in own.filled.responses}
    for card in client.get("/api/pairs", params={"count": 8}).json()["pairs"]:
        answer = client.post("/api/judgments", json=decision(card))
        assert answer.status_code == 200
        row = judging.judgments(own.store)[-1]
        pair = next(p for p in own.filled.pairs if p.id == row.pair_id)
        preferred = pair.first if row.verdict == "first" else pair.second
        assert texts[preferred] == card["left_text"]
        assert (row.strength, row.labeler, row.seconds) == ("clear", "ann", 2.5)
    assert answer.json()["progress"]["judged"] == 8
    assert {row.presentation_id for row in judging.judgments(own.store)}


def test_the_same_key_again_changes_nothing(own):
    client = own.client("ann")
    card = client.get("/api/pairs").json()["pairs"][0]
    for _ in range(3):
        assert client.post("/api/judgments", json=decision(card)).status_code == 200
    assert len(judging.judgment_events(own.store)) == 1


def test_another_persons_card_cannot_be_judged(own):
    card = own.client("ann").get("/api/pairs").json()["pairs"][0]
    answer = own.client("bob").post("/api/judgments", json=decision(card))
    assert answer.status_code == 409
    assert answer.json()["detail"]
    assert judging.judgment_events(own.store) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"choice": "first"},
        {"choice": "LEFT"},
        {"strength": "huge"},
        {"seconds": -1},
        {"seconds": "NaN"},
        {"seconds": 1e9},
        {"key": "short"},
        {"key": "x" * 65},
        {"key": "a b c d e f"},
        {"choice": "tie"},
        {"rationale": "x" * 4001},
        {"flags": ["<script>"]},
        {"flags": ["a"] * 9},
        {"labeler": "bob"},
        {"presentation": ""},
        {"presentation": None},
    ],
)
def test_what_is_not_a_judgment_is_refused(server, changes):
    client = server.client("ann")
    card = client.get("/api/pairs").json()["pairs"][0]
    answer = client.post("/api/judgments", json=decision(card) | changes)
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)
    assert "<script>" not in answer.text
    assert judging.judgment_events(server.store) == []


def test_notes_and_flags_are_kept(own):
    client = own.client("ann")
    card = client.get("/api/pairs").json()["pairs"][0]
    note = 'the "left" one\n\u05e9\u05dc\u05d5\u05dd <b>'
    body = decision(card, rationale=note, flags=["unsafe", "unclear_prompt"])
    client.post("/api/judgments", json=body)
    row = judging.judgments(own.store)[0]
    assert (row.rationale, row.flags) == (note, ("unsafe", "unclear_prompt"))


def test_undo_gives_the_card_back(own):
    client = own.client("ann")
    card = client.get("/api/pairs").json()["pairs"][0]
    client.post("/api/judgments", json=decision(card))
    answer = client.post("/api/undo", json={"key": "undo-key-1"}).json()
    assert answer["pair"] == card
    assert answer["progress"]["judged"] == 0
    assert judging.judgments(own.store) == []
    again = client.post("/api/judgments", json=decision(card, key="second-key", choice="right"))
    assert again.json()["progress"]["judged"] == 1
    assert len(judging.judgment_events(own.store)) == 3


def test_undo_with_nothing_to_undo(own):
    answer = own.client("ann").post("/api/undo", json={"key": "undo-key-1"})
    assert answer.json()["pair"] is None


def test_cards_the_browser_has_are_not_sent_again(own):
    client = own.client("ann")
    first = [c["presentation"] for c in client.get("/api/pairs?count=4").json()["pairs"]]
    more = client.get("/api/pairs", params={"count": 4, "have": ",".join(first)}).json()["pairs"]
    assert len(first) == len(more) == 4
    assert not set(first) & {c["presentation"] for c in more}


@pytest.mark.parametrize("query", ["count=0", "count=999", "count=x", "have=" + "x" * 9000])
def test_odd_queries_are_refused(server, query):
    answer = server.client("ann").get(f"/api/pairs?{query}")
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


def test_guidelines_are_rendered_and_recorded_with_what_is_shown(own):
    client = own.client("ann")
    answer = client.get("/api/guidelines").json()
    assert "<em>fair</em>" in answer["html"]
    assert "<script>" not in answer["html"]
    client.get("/api/pairs")
    shown = judging.presentations_of(own.store, "ann")
    assert {row.guideline for row in shown} == {answer["version"]}


def test_guidelines_come_from_the_workspace_only(tmp_path, monkeypatch):
    monkeypatch.setattr("annotate.app._mount_pages", lambda *_pages: None)
    (tmp_path / "ws_evil").mkdir()
    (tmp_path / "ws_evil" / "secret.md").write_text("secret")
    (tmp_path / "ws").mkdir()
    made = Server(tmp_path / "ws", guidelines="../ws_evil/secret.md")
    assert "secret" not in made.client("ann").get("/api/guidelines").text
    made.store.close()


def test_the_notice_is_passed_as_text(server):
    assert server.client("ann").get("/api/me").json() == {
        "name": "ann",
        "role": "labeler",
        "notice": "a <b>micro</b> model",
    }
    assert "micro" not in server.client("ann").get("/label/config").text


# ---- errors ---------------------------------------------------------------------------------


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
    answer = client.post("/api/judgments", content=b"x" * 300_000)
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


def test_the_admin_page_shows_hostile_names_as_text(own):
    from annotate.accounts import add_labeler
    from annotate.admin_page import live_html, policies_html, progress_html
    from annotate.overview import overview

    add_labeler(own.store, "<img src=x onerror=alert(1)>", password=None)
    shown = progress_html(overview(own.store, own.config)) + policies_html(own.store)
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


# ---- child processes ------------------------------------------------------------------------


def runner_of(folder: Path, code: str) -> RoundRunner:
    return RoundRunner(folder, program=[sys.executable, "-c", code])


def finished(folder: Path, code: str) -> RoundRunner:
    runner = runner_of(folder, code)
    runner.start("train")
    wait_for(lambda: not runner.state().running)
    return runner


def wait_for(true, seconds=15.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def test_a_child_runs_logs_and_ends(tmp_path):
    code = "import sys; print(sys.argv[1:]); print('10%\\r20%\\r30%'); sys.exit(3)"
    runner = finished(tmp_path, code)
    state = runner.state()
    assert (state.verb, state.exit_code, state.running) == ("train", 3, False)
    assert f"['train', '--workspace', '{tmp_path}']" in runner.log_tail()
    assert runner.log_tail().endswith("30%")
    assert "10%" not in runner.log_tail()
    assert (tmp_path / "logs" / state.log).exists()


def test_a_second_child_is_refused_even_by_another_server(tmp_path):
    runner = runner_of(tmp_path, "import time; time.sleep(60)")
    started = runner.start("generate")
    other = runner_of(tmp_path, "pass")
    for refused in (runner, other):
        with pytest.raises(ConflictError, match=rf"pairloop generate` is running.*{started.pid}"):
            refused.start("train")
    assert other.state().running
    other.stop()
    wait_for(lambda: not runner.state().running)
    assert runner.state().exit_code != 0
    with pytest.raises(ConflictError, match="Nothing is running"):
        runner.stop()
    assert other.start("train").verb == "train"
    wait_for(lambda: not other.state().running)


def test_a_child_that_ignores_the_first_request_is_ended(tmp_path):
    code = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
        "print('deaf', flush=True); time.sleep(60)"
    )
    runner = runner_of(tmp_path, code)
    runner.start("train")
    wait_for(lambda: "deaf" in runner.log_tail())
    runner.stop(term_after_seconds=0.5)
    assert runner.state().stop_asked
    wait_for(lambda: not runner.state().running)
    assert runner.state().exit_code == -15


def test_nothing_was_ever_started(tmp_path):
    state = RoundRunner(tmp_path).state()
    assert (state.verb, state.running, state.exit_code) == ("", False, None)
    assert RoundRunner(tmp_path).log_tail() == ""
