"""The page behind an invitation link, and the trail that signing in leaves; over real HTTP."""

import threading
from dataclasses import dataclass

import httpx
import pytest
from factories import PASSWORD
from serving import listening
from web import Server

from annotate.accounts import token_hash
from annotate.invitations import invite, revoke
from storage import team
from storage.judgments import labelers
from storage.records import Role

FORM = {"password": PASSWORD, "again": PASSWORD}


@dataclass
class Site:
    server: Server
    address: str

    def invite(self, **named):
        return "/invite/" + invite(
            self.server.store, **({"role": Role.LABELER, "author": "lead"} | named)
        )

    def browser(self):
        return httpx.Client(base_url=self.address, follow_redirects=False, timeout=30)


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setattr("annotate.app._mount_pages", lambda *_pages: None)
    server = Server(tmp_path)
    with listening(server.app) as address:
        yield Site(server, address)
    server.store.close()


def trail(site):
    return [(a.actor, a.action, a.detail) for a in team.activities(site.server.store)]


def test_who_opens_a_link_chooses_a_name_and_password_and_is_in(site):
    link, browser = site.invite(groups=["medics"]), site.browser()
    page = browser.get(link)
    assert 'name="name"' in page.text
    assert "set-cookie" not in page.headers
    answer = browser.post(link, data={"name": " zoë ", **FORM})
    assert (answer.status_code, answer.headers["location"]) == (303, "/label/")
    assert browser.get("/api/me").json()["name"] == "zoë"
    assert browser.get("/api/people").status_code == 403
    again = site.browser()
    assert again.post("/login", data={"name": "zoë", "password": PASSWORD}).status_code == 303
    for used in (site.browser().get(link), site.browser().post(link, data={"name": "x", **FORM})):
        assert used.status_code == 410
        assert "was used already" in used.text
    assert trail(site)[:3] == [
        ("zoë", "signed in", "password"),
        ("zoë", "signed in", "invitation"),
        ("zoë", "invitation accepted", "labeler, invited by lead"),
    ]


def test_a_named_invitation_makes_that_account_whatever_is_sent(site):
    link = site.invite(name="<b>zed</b>", role=Role.ADJUDICATOR)
    page = site.browser().get(link).text
    assert "&lt;b&gt;zed&lt;/b&gt;" in page
    assert "<b>zed" not in page
    browser = site.browser()
    assert browser.post(link, data={"name": "lead", **FORM}).status_code == 303
    assert browser.get("/api/me").json()["role"] == "adjudicator"
    assert labelers(site.server.store)["<b>zed</b>"].role is Role.ADJUDICATOR


@pytest.mark.parametrize(
    ("form", "status", "says"),
    [
        ({"name": "zed", "password": "short", "again": "short"}, 422, "it needs 8 or more"),
        ({"name": "zed", "password": PASSWORD, "again": "x" * 9}, 422, "The two passwords differ"),
        ({"name": "ann", **FORM}, 409, "Somebody already has the name"),
        ({"name": "", **FORM}, 422, "be a labeler"),
        ({"name": "<img src=x>", "password": "x", "again": "y"}, 422, "&lt;img src=x&gt;"),
        ({}, 422, "0 characters"),
    ],
)
def test_what_is_wrong_is_said_and_the_link_stays_open(site, form, status, says):
    link, browser = site.invite(), site.browser()
    answer = browser.post(link, data=form)
    assert answer.status_code == status
    assert says in answer.text
    assert PASSWORD not in answer.text
    assert "<img" not in answer.text
    assert "set-cookie" not in answer.headers
    assert browser.post(link, data={"name": "zed", **FORM}).status_code == 303


def test_a_link_that_is_over_says_so(site):
    revoked, expired = site.invite(), site.invite(days=1e-9)
    revoke(site.server.store, token_hash(revoked.removeprefix("/invite/")), author="lead")
    for link, status, says in (
        (revoked, 410, "was taken back"),
        (expired, 410, "has expired"),
        ("/invite/made-up", 404, "not one of ours"),
    ):
        for answer in (
            site.browser().get(link),
            site.browser().post(link, data={"name": "zed", **FORM}),
        ):
            assert answer.status_code == status
            assert says in answer.text
    assert "zed" not in labelers(site.server.store)


def test_two_posts_at_the_same_time_make_one_account(site):
    link, codes, start = site.invite(), [], threading.Barrier(6)

    def press(number):
        start.wait()
        with site.browser() as browser:
            codes.append(browser.post(link, data={"name": f"n{number}", **FORM}).status_code)

    threads = [threading.Thread(target=press, args=[n]) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes.count(303) == 1
    assert set(codes) <= {303, 409, 410}
    assert len([name for name in labelers(site.server.store) if name.startswith("n")]) == 1


def test_guessing_links_and_passwords_is_slowed_down(site):
    link, browser = site.invite(), site.browser()
    wrong = [browser.post(link, data={"name": "ann", **FORM}).status_code for _ in range(11)]
    assert wrong == [409] * 10 + [429]
    forged = {"X-Forwarded-For": "9.9.9.9", "Forwarded": "for=9.9.9.9", "X-Real-IP": "9.9.9.9"}
    answer = browser.post(link, data={"name": "zed", **FORM}, headers=forged)
    assert answer.status_code == 429
    guesses = [
        browser.post(f"/invite/guess{n}", data=FORM, headers=forged).status_code for n in range(25)
    ]
    assert guesses.count(404) == 20  # 30 from one address
    assert guesses[-1] == 429


def test_there_is_no_other_way_to_make_an_account(site):
    browser, before = site.browser(), set(labelers(site.server.store))
    for path in ("/signup", "/register", "/invite", "/invite/", "/users", "/api/people"):
        assert browser.post(path, data={"name": "zed", **FORM}).status_code in (401, 404, 405)
    assert set(labelers(site.server.store)) == before


def test_signing_in_and_out_leaves_a_trail(site):
    browser = site.browser()
    browser.post("/login", data={"name": "ann", "password": "wrong"})
    browser.post("/login", data={"name": "whoever", "password": "wrong"})
    browser.post("/login", data={"name": "ann", "password": PASSWORD})
    browser.post("/logout")
    assert trail(site)[:3] == [
        ("ann", "signed out", ""),
        ("ann", "signed in", "password"),
        ("ann", "sign-in failed", ""),
    ]
    assert "whoever" not in str(trail(site))
    assert "wrong" not in str(trail(site))


def test_a_session_known_before_signing_in_is_ended_by_it(site):
    """Session fixation: who planted or saw the cookie before is not signed in with it after."""
    browser = site.browser()
    browser.post("/login", data={"name": "bob", "password": PASSWORD})
    before = browser.cookies["pairloop_session"]
    browser.post("/login", data={"name": "ann", "password": PASSWORD})
    assert browser.cookies["pairloop_session"] != before
    stale = {"Cookie": f"pairloop_session={before}"}
    assert httpx.get(f"{site.address}/api/me", headers=stale).status_code == 401
    planted = {"Cookie": "pairloop_session=chosen-by-somebody-else"}
    with site.browser() as victim:
        form = {"name": "ann", "password": PASSWORD}
        answer = victim.post("/login", data=form, headers=planted)
        assert "chosen-by-somebody-else" not in answer.headers["set-cookie"]
    assert httpx.get(f"{site.address}/api/me", headers=planted).status_code == 401
