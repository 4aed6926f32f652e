"""Every route of the server and of Gradio within it, by name: one that is new fails here until
somebody has said whom it is for."""

import re

import pytest
from factories import PASSWORD
from fastapi.routing import APIRoute
from route_table import TABLE, filled
from starlette.routing import Mount
from web import ORIGIN, Server

from annotate.access import access_of
from annotate.accounts import add_labeler
from annotate.page_policy import KnownScripts
from storage.records import Role

MOUNTS = {"/label": 1, "/adjudicate": 2, "/admin": 3}
WHO = {None: 0, "ann": 1, "jo": 2, "lead": 3}
# What our pages ask of Gradio; everything else it has is closed.
GRADIO = """
GET /  HEAD /  GET /assets/{path:path}  GET /static/{path:path}  GET /theme.css
GET /gradio_api/theme.css  GET /config  GET /config/  GET /favicon.ico
GET /gradio_api/heartbeat/{session_hash}
GET /gradio_api/startup-events  POST /gradio_api/run/{api_name}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    oidc = {"issuer": "https://nobody.invalid", "client_id": "pairloop"}
    made = Server(tmp_path_factory.mktemp("routes"), oidc=oidc)
    add_labeler(made.store, "jo", password=PASSWORD, role=Role.ADJUDICATOR)
    yield made
    made.store.close()


def test_the_table_names_every_route_with_whom_it_is_for(server):
    found = {
        (method, route.path): int(access_of(route))
        for route in server.app.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    }
    assert found == TABLE
    others = {r.path: int(access_of(r)) for r in server.app.routes if not isinstance(r, APIRoute)}
    assert others == MOUNTS


@pytest.mark.parametrize("who", WHO)
def test_routes_that_are_not_for_somebody_refuse_them(server, who):
    """With a body or without, before anything of it is read; nobody hears 404 of what is closed."""
    client = server.client(who)
    expected = 401 if who is None else 403
    asked = 0
    for (method, path), level in TABLE.items():
        if level > WHO[who]:
            for body in ({}, {"content": b"{", "headers": {"Content-Type": "application/json"}}):
                answer = client.request(method, filled(path), **body)
                assert answer.status_code == expected, (method, path)
                assert set(answer.json()) == {"detail"}
                asked += 1
    assert asked == 2 * sum(level > WHO[who] for level in TABLE.values())


@pytest.mark.parametrize("mount", MOUNTS)
def test_of_gradio_only_what_the_pages_use_is_open(server, mount):
    """All its routes, taken from the mounted application, for each role."""
    app = next(r.app for r in server.app.routes if isinstance(r, Mount) and r.path == mount)
    needed = set(re.findall(r"([A-Z]+) (\S+)", GRADIO))
    clients = {who: server.client(who) for who in WHO}
    closed = 0
    for route in app.routes:
        for method in sorted(getattr(route, "methods", None) or ["GET"]):
            for who, level in WHO.items():
                if (method, route.path) in needed and level >= MOUNTS[mount]:
                    continue
                answer = clients[who].request(method, mount + filled(route.path))
                refusal = (404, 405) if level >= MOUNTS[mount] else (401, 403)
                assert answer.status_code in refusal, (who, method, route.path)
                closed += 1
    assert closed > 150


@pytest.mark.parametrize("name", ["pairloop.duckdb", ".env", "pairloop.toml", "/etc/passwd"])
def test_no_file_of_the_server_is_given_away(server, name):
    (server.folder / ".env").write_text("SECRET=planted")
    (server.folder / "pairloop.toml").write_text("# planted")
    client = server.client("lead")
    for place in (name, f"{server.folder}/{name}", f"../../{name}", f"..%2f..%2f{name}"):
        for way in ("file=", "file/", "gradio_api/file=", "gradio_api/file/", "static/", "assets/"):
            for mount in MOUNTS:
                answer = client.get(f"{mount}/{way}{place}")
                assert answer.status_code in (400, 403, 404), (mount, way, place)
                assert b"planted" not in answer.content
                assert b"root:" not in answer.content


def test_no_route_takes_a_body_beyond_its_limit(server):
    """Refused by its length, before a byte of it is read."""
    for who, bytes_at_most in ((None, 16 * 1024), ("lead", 1024 * 1024)):
        client = server.client(who)
        long = {"Content-Length": str(bytes_at_most + 1)}
        for (method, path), level in TABLE.items():
            if method != "GET" and level <= WHO[who]:
                answer = client.request(method, filled(path), content=b"x", headers=long)
                assert answer.status_code == 413, (who, method, path)
    answer = client.post("/admin/gradio_api/run/predict", content=b"x", headers=long)
    assert answer.status_code == 413


def test_every_changing_route_refuses_other_sites(server):
    client = server.client("lead")
    for (method, path), _level in TABLE.items():
        if method != "GET":
            answer = client.request(
                method, filled(path), headers={"Origin": "https://evil.example"}
            )
            assert answer.status_code == 403, (method, path)
    answer = client.post(
        "/admin/gradio_api/run/predict", json={}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert answer.status_code == 403
    assert server.client("lead").get("/api/me").is_success  # nobody was signed out by it


# ---- the policy of the pages ----------------------------------------------------------------


@pytest.mark.parametrize("mount", MOUNTS)
def test_a_page_runs_gradios_own_scripts_and_files_of_this_server_alone(server, mount):
    """No inline script but the template's own, by hash; eval on /admin, whose tables need it."""
    answer = server.client("lead").get(f"{mount}/", headers={"Accept-Encoding": "br, gzip"})
    policy = dict(
        part.strip().partition(" ")[::2]
        for part in answer.headers["content-security-policy"].split(";")
    )
    scripts = policy["script-src"].split()
    inline = re.findall(r"<script(?![^>]* src=)[^>]*>", answer.text)
    assert len([s for s in scripts if s.startswith("'sha256-")]) == len(inline) > 2
    others = {s for s in scripts if not s.startswith("'sha256-")}
    assert others == ({"'self'", "'unsafe-eval'"} if mount == "/admin" else {"'self'"})
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == policy["form-action"] == policy["base-uri"] == "'self'"
    assert "object-src" not in policy  # nor frame-src: default-src closes them
    assert not re.search(r"https?:|\*", answer.headers["content-security-policy"])
    assert "manifest" not in answer.text.partition("<script")[0]  # asked for without the cookie
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_pages_without_scripts_allow_none(server):
    client = server.client("lead")
    for path in ("/login", "/account", "/docs", "/invite/x", "/reset/x", "/api/me", "/nothing"):
        policy = client.get(path).headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; ")
        assert "script-src" not in policy


def test_a_script_that_a_text_brings_along_has_no_hash():
    template = "<script>window.config = {{ config | toorjson }};</script>"
    known = KnownScripts(template)
    assert len(known.hashes('<script>window.config = {"a": "b"};</script>')) == 1
    for hostile in (
        "alert(1)",
        "window.config = alert(1);",
        'window.config = {"a": 1}; alert(1);',
        'window.config = {"a": "b',
        'window.config = {"a": "b"}.c;',
        "",
    ):
        assert known.hashes(f"<script>{hostile}</script>") == []


def test_a_hostile_name_is_no_script_of_the_page(server):
    name = "</script><script>alert(1)</script>'\"&lt;"
    add_labeler(server.store, name, password=PASSWORD, role=Role.ADMIN)
    client = server.client(name)
    for mount in MOUNTS:
        page = client.get(f"{mount}/").text
        assert "<script>alert" not in page
        assert "\\u003c/script\\u003e" in page  # it is there, as data


def test_the_pages_files_are_scripts_of_ours_and_kept_by_the_browser(server):
    client = server.client("lead")
    for page in ("label", "adjudicate"):
        answer = client.get(f"/page/{page}.js", headers={"Origin": ORIGIN})
        assert answer.headers["content-type"].startswith("text/javascript")
        assert "immutable" in answer.headers["cache-control"]
        for word in ("eval(", "new Function", "document.write", "javascript:"):
            assert word not in answer.text
