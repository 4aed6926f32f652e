"""Every route x everybody, over real HTTP; and what belongs to somebody else."""

import re
from dataclasses import dataclass, replace

import httpx
import pytest
from factories import PASSWORD
from fastapi import APIRouter, FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from serving import listening
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Mount
from web import Server, decision, sign_in

from annotate.access import Access, access_of
from annotate.accounts import add_labeler, disable_labeler, token_hash
from annotate.tokens import create_token
from annotate.web_session import Gate, Sessions
from storage.records import Role

STARTS = ("generate", "reward", "train", "evaluate", "check")
WHO = [
    "nobody",
    "labeler",
    "adjudicator",
    "admin",
    "disabled",
    "labeler's token",
    "adjudicator's token",
    "admin's token",
    "disabled one's token",
    "made-up token",
    "token as cookie",
    "cookie as token",
]
NAMES = {"labeler": "ann", "adjudicator": "jo", "admin": "lead", "disabled": "dee"}
RANK = {"labeler": Access.SIGNED_IN, "adjudicator": Access.ADJUDICATORS, "admin": Access.ADMINS}
OPEN = {
    "GET /",
    "GET /healthz",
    "GET /readyz",
    "GET /favicon.ico",
    "GET /login",
    "POST /login",
    "GET /login/once/{token}",
    "POST /login/once/{token}",
    "POST /logout",
    "GET /invite/{token}",
    "POST /invite/{token}",
    "GET /reset/{token}",
    "POST /reset/{token}",
    "GET /login/oidc",
    "GET /login/oidc/callback",
}
GRADIO = [
    ("GET", "/label/", Access.SIGNED_IN),
    ("GET", "/label/config", Access.SIGNED_IN),
    ("GET", "/label/gradio_api/info", Access.SIGNED_IN),
    ("GET", "/adjudicate/", Access.ADJUDICATORS),
    ("GET", "/adjudicate/config", Access.ADJUDICATORS),
    ("GET", "/adjudicate/gradio_api/info", Access.ADJUDICATORS),
    ("GET", "/admin/", Access.ADMINS),
    ("GET", "/admin/config", Access.ADMINS),
    ("GET", "/admin/gradio_api/info", Access.ADMINS),
    ("POST", "/admin/gradio_api/run/predict", Access.ADMINS),
    ("POST", "/admin/gradio_api/queue/join", Access.ADMINS),
    ("GET", "/admin/gradio_api/queue/data?session_hash=x1", Access.ADMINS),
    ("GET", "/admin/theme.css", Access.ADMINS),
]


@dataclass
class Live:
    server: Server
    address: str
    headers: dict[str, dict[str, str]]  # by who asks

    def ask(self, who, method, path, **named):
        headers = self.headers[who] | named.pop("headers", {})
        return httpx.request(method, self.address + path, headers=headers, timeout=30, **named)


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    # Every route's callers try to sign in, too: from one address they would soon be too many.
    server = Server(tmp_path_factory.mktemp("roles"), trusted_proxies=("127.0.0.1",))
    add_labeler(server.store, "jo", password=PASSWORD, role=Role.ADJUDICATOR)
    add_labeler(server.store, "dee", password=PASSWORD, role=Role.ADMIN)
    with listening(server.app) as address:
        headers = {"nobody": {}}
        for who, name in NAMES.items():
            session = sign_in(address, name).cookies["pairloop_session"]
            token = create_token(server.store, name, label="test")
            headers[who] = {"Cookie": f"pairloop_session={session}"}
            owner = "disabled one" if who == "disabled" else who
            headers[f"{owner}'s token"] = {"Authorization": f"Bearer {token}"}
            if who == "admin":
                headers["cookie as token"] = {"Authorization": f"Bearer {session}"}
                headers["token as cookie"] = {"Cookie": f"pairloop_session={token}"}
        headers["made-up token"] = {"Authorization": "Bearer pairloop_" + "x" * 43}
        disable_labeler(server.store, "dee", author="lead")
        yield Live(server, address, headers)
    server.store.close()


def routes(app: FastAPI) -> list[tuple[str, str, Access]]:
    return [
        (method, route.path, access_of(route))
        for route in app.routes
        if isinstance(route, APIRoute)
        for method in sorted(route.methods)
    ]


def filled(path: str) -> str:
    return re.sub(r"\{[^}]+\}", "nothing", path)


def may(who: str, access: Access) -> bool:
    return access <= RANK.get(who.removesuffix("'s token"), Access.ANYBODY)


def refused(answer: httpx.Response) -> bool:
    """By the gate or a handler: never with anything of what is behind it."""
    if answer.status_code not in (401, 403):
        return False
    assert set(answer.json()) == {"detail"}
    return True


@pytest.mark.parametrize("who", WHO)
def test_every_route_lets_in_those_it_is_for_and_nobody_else(live, who):
    """No body is sent where one is wanted, so that whoever may gets 422 and nothing changes."""
    wrong = []
    for method, path, access in routes(live.server.app):
        runs = [f"/api/rounds/{verb}" for verb in STARTS]
        if path in ("/logout", *(runs if method == "POST" else ())):
            continue  # these need no body: below
        answer = live.ask(who, method, filled(path))
        if "Authorization" in live.headers[who] and "token" in path and method == "POST":
            assert answer.status_code in (401, 403, 404, 410, 422, 429)  # none makes tokens
            continue
        if "Authorization" in live.headers[who] and path.startswith(("/account", "/page")):
            assert refused(answer), (method, path)  # the pages take cookies only
            continue
        if access is Access.ANYBODY:
            if answer.status_code in (401, 403) and not path.startswith("/login"):
                wrong.append((method, path, answer.status_code))
        elif refused(answer) is may(who, access):
            wrong.append((method, path, access.name, answer.status_code))
        if may(who, access) and access is not Access.ANYBODY:
            assert answer.status_code < 500, (method, path, answer.text)
    assert wrong == []


@pytest.mark.parametrize("who", [w for w in WHO if w not in ("admin", "admin's token")])
@pytest.mark.parametrize("verb", [*STARTS, "stop"])
def test_only_admins_start_and_stop_runs(live, who, verb):
    answer = live.ask(who, "POST", f"/api/rounds/{verb}", json={})
    assert refused(answer)
    assert not (live.server.folder / "logs" / "running.json").exists()


@pytest.mark.parametrize("who", WHO)
def test_the_gradio_pages_are_for_cookies_only(live, who):
    """An API token opens none of them, not even an admin's, nor any of the admin page's events."""
    for method, path, access in GRADIO:
        named = {"json": {"data": [], "fn_index": 0}} if method == "POST" else {}
        if path.startswith("/admin/gradio_api/queue/data") and may(who, access):
            continue  # a stream
        answer = live.ask(who, method, path, **named)
        by_token = "Authorization" in live.headers[who]
        assert refused(answer) is (by_token or not may(who, access)), (method, path, answer.text)


@pytest.mark.parametrize("other", ["labeler", "made-up token", "nobody"])
def test_a_token_beside_a_cookie_is_all_that_counts(live, other):
    """Nobody acts as two people: the admin's cookie lends a labeler's token nothing."""
    both = live.headers["admin"] | live.headers["labeler's token"]
    assert live.ask("nobody", "GET", "/api/me", headers=both).json()["name"] == "ann"
    assert live.ask("nobody", "GET", "/api/people", headers=both).status_code == 403
    assert live.ask("nobody", "GET", "/admin/config", headers=both).status_code == 403
    wrong = live.headers["admin"] | live.headers["made-up token"]
    assert live.ask(other, "GET", "/api/people", headers=wrong).status_code == 401


def test_every_route_declares_whom_it_is_for(live):
    """And what is open to everybody is this list."""
    app = live.server.app
    declared = {f"{m} {p}" for m, p, access in routes(app) if access is Access.ANYBODY}
    assert declared <= OPEN
    mounts = {r.path: access_of(r) for r in app.routes if isinstance(r, Mount)}
    assert mounts == {
        "/label": Access.SIGNED_IN,
        "/adjudicate": Access.ADJUDICATORS,
        "/admin": Access.ADMINS,
    }


def test_a_route_that_declares_nothing_is_for_admins(live):
    app, router = FastAPI(), APIRouter()
    router.get("/api/forgotten")(lambda: {"secret": 1})
    app.include_router(router)
    app.mount("/elsewhere", FastAPI())
    sessions = Sessions(live.server.store, hours=1)
    app.add_middleware(Gate, sessions=sessions, is_https=lambda _: False)
    with listening(app) as address:
        for path in ("/api/forgotten", "/elsewhere/docs", "/docs", "/openapi.json"):
            for who in WHO:
                answer = httpx.get(address + path, headers=live.headers[who])
                by_token = who == "admin's token" and not path.startswith("/elsewhere")
                expected = who == "admin" or by_token
                assert (answer.status_code == 200) is expected, (who, path)


def test_pages_lead_those_who_are_not_signed_in_to_the_login_page(live):
    for path in ("/label/", "/adjudicate/", "/admin/", "/docs", "/api/people", "/nothing"):
        answer = live.ask("nobody", "GET", path, headers={"Accept": "text/html"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        assert live.ask("nobody", "GET", path).status_code == 401


def test_disguised_paths_do_not_reach_the_admin_pages(live):
    paths = ["/label//admin/", "/admin%2f", "/%61dmin/", "/label/../admin/", "/ADMIN/", "/admin//"]
    paths += ["//api/people", "/api//people", "/api/people/", "/api/%70eople", "/label/..%2fadmin/"]
    for path in paths:
        for who in ("labeler", "labeler's token"):
            answer = live.ask(who, "GET", path)
            assert answer.status_code in (307, 403, 404), path
            if answer.status_code == 307:
                assert live.ask(who, "GET", httpx.URL(answer.headers["location"]).path).is_error


# ---- what belongs to somebody else -----------------------------------------------------------


def test_nobody_reads_or_changes_what_is_anothers(live):
    """Labeler A with B's presentation, key, history and tokens, by cookie and by token."""
    bob = sign_in(live.address, "bob")
    shown = bob.get("/api/pairs?count=2").json()["pairs"]
    mine = decision(shown[0])
    assert bob.post("/api/judgments", json=mine).status_code == 200
    before = bob.get("/api/history").json()
    token = bob.post("/api/tokens", json={"label": "bob's"}).json()
    for who in ("labeler", "labeler's token", "adjudicator", "admin"):
        for card in shown:
            stolen = decision(card, key=f"stolen-by-{who[:3]}-{card['presentation'][-8:]}")
            assert live.ask(who, "POST", "/api/judgments", json=stolen).status_code == 409
            path = f"/api/history/{card['presentation']}"
            assert live.ask(who, "GET", path).status_code == 409
        own = live.ask(who, "GET", "/api/pairs?count=1").json()["pairs"][0]
        again = decision(own, key=mine["key"])
        assert live.ask(who, "POST", "/api/judgments", json=again).status_code == 409
        assert live.ask(who, "POST", "/api/undo", json={"key": mine["key"]}).status_code == 409
        cursor = live.ask(who, "GET", f"/api/history?before={mine['key']}")
        assert "items" not in cursor.json() or cursor.json()["items"] == []
        assert live.ask(who, "GET", "/api/history").json()["items"] == []
        assert "bob's" not in live.ask(who, "GET", "/api/tokens").text
        live.ask(who, "POST", "/api/release", json={"have": [c["presentation"] for c in shown]})
    for who in ("labeler", "labeler's token", "adjudicator"):
        unknown = live.ask(who, "DELETE", f"/api/tokens/{'0' * 64}")
        other = live.ask(who, "DELETE", f"/api/tokens/{token['id']}")
        assert (other.status_code, other.text) == (unknown.status_code, unknown.text)
        assert other.status_code == 404
    assert bob.get("/api/history").json() == before
    by_token = {"Authorization": f"Bearer {token['token']}"}
    assert httpx.get(f"{live.address}/api/me", headers=by_token).json()["name"] == "bob"
    assert live.ask("admin", "DELETE", f"/api/tokens/{token_hash(token['token'])}").is_success
    assert httpx.get(f"{live.address}/api/me", headers=by_token).status_code == 401


def test_a_disabled_account_is_out_at_once(live):
    add_labeler(live.server.store, "eve/../x", password=PASSWORD)
    eve = sign_in(live.address, "eve/../x")
    token = {
        "Authorization": f"Bearer {eve.post('/api/tokens', json={'label': 'x'}).json()['token']}"
    }
    assert eve.get("/api/me").is_success
    assert httpx.get(f"{live.address}/api/me", headers=token).is_success
    path = "/api/people/eve%2F..%2Fx"
    assert live.ask("labeler", "POST", f"{path}/disable").status_code == 403
    assert live.ask("admin", "POST", f"{path}/disable").json()["active"] is False
    assert eve.get("/api/me").status_code == 401
    assert httpx.get(f"{live.address}/api/me", headers=token).status_code == 401
    assert live.ask("admin", "POST", f"{path}/enable").json()["active"] is True
    assert eve.get("/api/me").status_code == 401
    assert httpx.get(f"{live.address}/api/me", headers=token).status_code == 401
    assert live.ask("admin", "POST", "/api/people/lead/disable").status_code == 409


def test_a_role_that_changes_ends_what_was_open_and_holds_from_the_next_sign_in(live):
    add_labeler(live.server.store, "may", password=PASSWORD)
    seen = []
    for role in ("adjudicator", "admin", "labeler"):
        may = sign_in(live.address, "may")
        token = may.post("/api/tokens", json={"label": "x"}).json()["token"]
        by_token = {"Authorization": f"Bearer {token}"}
        path, body = "/api/people/may/role", {"role": role}
        for who in ("nobody", "labeler", "adjudicator", "labeler's token", "made-up token"):
            assert refused(live.ask(who, "POST", path, json=body))
            assert refused(live.ask(who, "POST", "/api/people/may/reset"))
        if role != "labeler":
            assert may.post(path, json={"role": "admin"}).status_code == 403
        assert live.ask("admin's token", "POST", path, json=body).json()["role"] == role
        assert may.get("/api/me").status_code == 401
        assert httpx.get(f"{live.address}/api/me", headers=by_token).status_code == 401
        now = sign_in(live.address, "may")
        seen.append([now.get(p).status_code for p in ("/api/me", "/api/queue", "/api/people")])
    assert seen == [[200, 200, 403], [200, 200, 200], [200, 403, 403]]


@pytest.mark.parametrize("role", [None, Role.LABELER, Role.ADJUDICATOR])
def test_the_handlers_refuse_by_themselves(live, role):
    """Not only the gate: without it, each route still asks who is asking."""
    person = replace(live.server.filled.labelers[0], role=role) if role else None
    app = live.server.app

    async def ungated(scope, receive, send):
        if scope["type"] == "http":
            scope.setdefault("state", {}).update(labeler=person, by_token=False)
        inside = AsyncExitStackMiddleware(app.router)
        await ExceptionMiddleware(inside, app.exception_handlers)(scope, receive, send)

    allowed = {None: Access.ANYBODY, Role.LABELER: Access.SIGNED_IN}.get(role, Access.ADJUDICATORS)
    with TestClient(ungated, raise_server_exceptions=False) as client:
        for method, path, access in routes(app):
            if access > allowed:
                answer = client.request(method, filled(path), json={})
                assert answer.status_code in (401, 403), (method, path)
