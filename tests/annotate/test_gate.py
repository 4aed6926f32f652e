"""Where requests come from, what they may hold, and what every answer carries."""

import pytest
from web import ORIGIN


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


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://testserver.evil.example"},
    {"Origin": "http://testserver:81"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize(
    "path",
    ["/api/judgments", "/api/undo", "/logout", "/login", "/api/tokens", "/invite/x", "/api/people"],
)
def test_other_sites_cannot_act(server, headers, path):
    answer = server.client("lead").post(path, json={}, headers=headers)
    assert answer.status_code == 403
    assert answer.json() == {"detail": "This request comes from another site."}


@pytest.mark.parametrize("own", [{"secure_cookie": True}], indirect=True, ids=["https"])
def test_behind_https_a_page_over_http_is_another_site(own):
    """Whoever is on the way can write what stands at http://; it must not act at https://."""
    name = {"name": "ann", "password": "wrong"}
    for origin, status in (("http://testserver", 403), ("https://testserver", 401)):
        assert (
            own.client().post("/login", data=name, headers={"Origin": origin}).status_code == status
        )


@pytest.mark.parametrize(
    "origin", ["http://[", "http://[::1", "://", "null", "", "http://testserver/"]
)
def test_an_origin_that_is_no_address_is_another_site(server, origin):
    answer = server.client().post("/login", data={}, headers={"Origin": origin})
    assert answer.status_code == 403


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_token_lends_no_cookie_its_freedom(server, headers):
    """Only a request that a token signs may come from anywhere, and it never uses the cookie."""
    client = server.client("lead")
    token = {"Authorization": f"Bearer {server.token('ann')}"}
    body = {"key": "k" * 8}
    assert server.client().post("/api/undo", json=body, headers=headers | token).is_success
    assert client.get("/api/me", headers=headers | token).json()["name"] == "ann"
    for wrong in ("Bearer", "Bearer ", "Bearer x", "Basic bGVhZDp4", "Token x"):
        answer = client.post("/api/undo", json=body, headers=headers | {"Authorization": wrong})
        assert answer.status_code in (401, 403), wrong
    for path in ("/login", "/logout", "/invite/x"):
        assert client.post(path, headers=headers | token).status_code == 403


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
            headers={
                "Origin": "https://evil.example",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization",
            },
        )
        assert "access-control-allow-origin" not in preflight.headers


@pytest.mark.parametrize(
    "path",
    [
        "/login",
        "/invite/x",
        "/docs",
        "/api/me",
        "/api/nothing",
        "/label/",
        "/admin/",
        "/healthz",
        "/api/rounds",
    ],
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


@pytest.mark.parametrize("mount", ["/label", "/adjudicate", "/admin"])
def test_no_redirect_goes_where_a_header_says(server, mount):
    """Nor from https to http, where a proxy stands between."""
    client = server.client("lead")
    hostile = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    answer = client.get(mount, headers=hostile)
    assert (answer.status_code, answer.headers["location"]) == (307, f"{mount}/")
    for path in ("/login/", "/api/me/", "/account/", "/page/label.js/", f"{mount}//evil.example"):
        assert client.get(path, headers=hostile).status_code == 404, path
    assert server.client().get(mount).status_code == 401


def test_who_is_not_signed_in_may_send_little(server):
    client = server.client()
    for path in ("/login", "/invite/x"):
        assert client.post(path, content=b"x" * 20_000).status_code == 413


@pytest.mark.parametrize("path", ["/login", "/invite/x", "/login/once/x", "/api/people/x/pause"])
def test_what_was_sent_is_not_echoed(server, path):
    hostile = "<img src=x onerror=alert(1)>"
    client = server.client("lead" if path.startswith("/api") else None)
    for answer in (
        client.post(path, data={"name": hostile, "password": hostile * 100}),
        client.post(path, json={hostile: hostile}),
        client.get(f"{path}{hostile}"),
        client.get(path, params={"again": hostile, hostile: hostile}),
    ):
        assert "<img" not in answer.text


@pytest.mark.parametrize("path", ["/api/tokens", "/api/judgments", "/api/gold", "/api/invitations"])
def test_a_field_that_was_made_up_is_refused_and_not_repeated(server, path):
    hostile = "<img src=x onerror=alert(1)>"
    for body in ({hostile: 1}, {"secret_field": "secret value"}, {"label": {hostile: hostile}}):
        answer = server.client("lead").post(path, json=body)
        assert answer.status_code == 422
        assert "<img" not in answer.text
        assert "secret value" not in answer.text
        assert answer.headers["content-type"] == "application/json"
