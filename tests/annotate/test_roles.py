"""Who may do what on the labeling server, and from where."""

import pytest
from web import ADMIN_ROUTES, LABELER_ROUTES, ORIGIN


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
