"""Signing in and out of the labeling server."""

import pytest
from factories import PASSWORD
from fastapi.testclient import TestClient
from web import ORIGIN, Server

from annotate.signing_in import Attempts
from storage.team import activities


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
    if name:  # nobody types it twice
        assert f'value="{name}"' in answer.text


def test_what_is_noted_of_a_wrong_password_is_written_after_the_answer(own):
    """Writing takes longer than looking, and only names that exist are noted."""
    at_the_answer = []

    async def watched(scope, receive, send):
        async def told(message):
            if message["type"] == "http.response.body":
                at_the_answer.append(len(activities(own.store)))
            await send(message)

        await own.app(scope, receive, told)

    before = len(activities(own.store))
    client = TestClient(watched, base_url=ORIGIN)
    assert client.post("/login", data={"name": "ann", "password": "wrong"}).status_code == 401
    assert at_the_answer == [before]
    assert activities(own.store)[0].action == "sign-in failed"


def test_a_typed_name_comes_back_as_text(own):
    answer = own.client().post("/login", data={"name": '"><script>', "password": "x"})
    assert 'value="&quot;&gt;&lt;script&gt;"' in answer.text


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
