"""Single sign-on against a real little provider, over real HTTP."""

from dataclasses import dataclass

import httpx
import pytest
from factories import PASSWORD
from provider import CLIENT, SECRET, LittleProvider, query_of
from serving import listening
from web import Server

from annotate.accounts import add_labeler, disable_labeler
from annotate.config import Oidc
from annotate.oidc import Provider
from storage import team
from storage.errors import ConfigurationError
from storage.records import LabelerKind, Role


@dataclass
class Site:
    provider: LittleProvider
    server: Server
    address: str

    def browser(self) -> httpx.Client:
        return httpx.Client(base_url=self.address, follow_redirects=False, timeout=30)

    def go(self, browser: httpx.Client) -> str:
        """To the provider and up to the address that it sends the browser back to."""
        away = browser.get("/login/oidc")
        assert away.status_code == 303, away.text
        return httpx.get(away.headers["location"]).headers["location"]

    def sign_in(self, browser: httpx.Client) -> httpx.Response:
        return browser.get(self.go(browser))


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    provider = LittleProvider()
    with pytest.MonkeyPatch.context() as patch, listening(provider.app) as issuer:
        provider.address = issuer
        patch.setattr("annotate.app._mount_pages", lambda *_pages: None)
        for limit in ("_TRIES_PER_NAME", "_TRIES_PER_PEER"):
            patch.setattr(f"annotate.signing_in.{limit}", 10_000)
        patch.setattr("annotate.oidc._KEEP_SECONDS", 0.0)  # the description changes below
        patch.setenv("PAIRLOOP_OIDC_SECRET", SECRET)
        oidc = Oidc(issuer=issuer, client_id=CLIENT, label="Sign in <here>")
        server = Server(tmp_path_factory.mktemp("oidc"), oidc=oidc)
        add_labeler(server.store, "judge", password=None, kind=LabelerKind.MODEL)
        add_labeler(server.store, "gone", password=PASSWORD, role=Role.ADMIN)
        disable_labeler(server.store, "gone")
        with listening(server.app) as address:
            yield Site(provider, server, address)
        server.store.close()


@pytest.fixture
def site(running):
    provider = running.provider
    provider.user = {"preferred_username": "ann"}
    provider.userinfo, provider.changes, provider.document = {}, {}, {}
    provider.signs = "its key"
    return running


def test_who_has_an_account_gets_in(site):
    browser = site.browser()
    page = browser.get("/login").text
    assert 'href="/login/oidc"' in page
    assert "Sign in &lt;here&gt;" in page
    answer = site.sign_in(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/label/")
    assert browser.get("/api/me").json()["name"] == "ann"
    assert "pairloop_oidc" not in browser.cookies
    newest = team.activities(site.server.store)[0]
    assert (newest.actor, newest.action, newest.detail) == ("ann", "signed in", "single sign-on")


def test_the_cookie_of_the_way_there_is_short_lived_and_hidden_from_scripts(site):
    cookie = site.browser().get("/login/oidc").headers["set-cookie"]
    for part in ("HttpOnly", "Max-Age=600", "Path=/login/oidc"):
        assert part in cookie
    assert "samesite=lax" in cookie.lower()


def test_a_sign_in_replaces_the_session_there_was(site):
    """Session fixation: a session somebody else put into this browser does not become ours."""
    browser = site.browser()
    site.sign_in(browser)
    old = browser.cookies["pairloop_session"]
    site.sign_in(browser)
    assert browser.cookies["pairloop_session"] != old
    stale = {"Cookie": f"pairloop_session={old}"}
    assert httpx.get(f"{site.address}/api/me", headers=stale).status_code == 401


def refused(site, browser, answer, status=401):
    assert answer.status_code == status, answer.text
    assert "pairloop_session" not in answer.headers.get("set-cookie", "")
    assert "internal-secret" not in answer.text
    assert browser.get("/api/me").status_code == 401
    return answer.text


def test_a_wrong_state_is_refused(site):
    """Sign-in by another browser's link: the victim would work under the attacker's name."""
    attacker, victim = site.browser(), site.browser()
    link = site.go(attacker)
    assert "not begun in this browser" in refused(site, victim, victim.get(link))
    site.go(victim)
    assert "not begun in this browser" in refused(site, victim, victim.get(link))
    back = query_of(site.go(victim))
    for state in ("", "x", back["state"][:-1], "é"):
        answer = victim.get("/login/oidc/callback", params={"code": back["code"], "state": state})
        refused(site, victim, answer)


@pytest.mark.parametrize("cookie", ["", "a", "..", "a.b", "a.b.c.d", "x" * 5000])
def test_a_made_up_cookie_is_refused(site, cookie):
    browser = site.browser()
    link = site.go(browser)
    browser.cookies.clear()
    refused(site, browser, browser.get(link, headers={"Cookie": f"pairloop_oidc={cookie}"}))


@pytest.mark.parametrize(
    "signs", ["another key", "nothing", "the client's secret", "its public key", "badly"]
)
def test_a_bad_signature_is_refused(site, signs):
    site.provider.signs = signs
    browser = site.browser()
    assert "does not hold" in refused(site, browser, site.sign_in(browser))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"nonce": "of another sign-in"}, "another sign-in"),
        ({"nonce": None}, "another sign-in"),
        ({"nonce": 7}, "another sign-in"),
        ({"exp": 1_000_000_000}, "does not hold"),
        ({"exp": None}, "does not hold"),
        ({"nbf": 4_000_000_000}, "does not hold"),
        ({"iss": "https://evil.example"}, "does not hold"),
        ({"iss": None}, "does not hold"),
        ({"aud": "another client"}, "does not hold"),
        ({"aud": None}, "does not hold"),
        ({"aud": [CLIENT, "another client"]}, "somebody else"),
        ({"azp": "another client"}, "somebody else"),
        ({"sub": None}, "does not hold"),
        ({"preferred_username": None}, "did not tell"),
        ({"preferred_username": ["ann"]}, "did not tell"),
    ],
    ids=str,
)
def test_a_token_that_is_not_for_this_sign_in_is_refused(site, changes, why):
    site.provider.changes = changes
    browser = site.browser()
    assert why in refused(site, browser, site.sign_in(browser))


def test_a_code_is_not_taken_twice(site):
    browser = site.browser()
    link = site.go(browser)
    kept = browser.cookies["pairloop_oidc"]
    assert browser.get(link).status_code == 303
    other = site.browser()
    again = {"Cookie": f"pairloop_oidc={kept}"}
    assert "finished already" in refused(site, other, other.get(link, headers=again))
    code, state = query_of(link)["code"], query_of(site.go(other))["state"]
    answer = other.get("/login/oidc/callback", params={"code": code, "state": state})
    assert "refused this sign-in" in refused(site, other, answer)


@pytest.mark.parametrize("name", ["nobody", "ANN", "ann ", "", "judge", "gone"])
def test_only_active_people_who_have_an_account_get_in(site, name):
    """No account is made on the way; a disabled one stays closed, and a model's is nobody's."""
    site.provider.user = {"preferred_username": name}
    browser = site.browser()
    text = refused(site, browser, site.sign_in(browser), status=403 if name else 401)
    assert "no account" in text or not name
    newest = team.activities(site.server.store, count=1)[0]
    noted = (newest.actor, newest.action) == (name, "sign-in failed")
    assert noted is (name in ("judge", "gone"))


def test_the_claim_may_come_from_userinfo_of_the_same_person(site):
    site.provider.user = {}
    site.provider.userinfo = {"preferred_username": "ann"}
    browser = site.browser()
    assert site.sign_in(browser).headers["location"] == "/label/"
    site.provider.userinfo = {"preferred_username": "lead", "sub": "somebody else"}
    other = site.browser()
    refused(site, other, site.sign_in(other))


def test_new_keys_of_the_provider_are_found(site, monkeypatch):
    assert site.sign_in(site.browser()).status_code == 303
    monkeypatch.setattr("annotate.oidc._LOOK_AGAIN_SECONDS", 60.0)
    site.provider.new_key()
    asked = site.provider.asked.count("keys")
    if site.sign_in(site.browser()).status_code == 401:  # asked less than a minute ago
        assert site.provider.asked.count("keys") == asked
    monkeypatch.setattr("annotate.oidc._LOOK_AGAIN_SECONDS", 0.0)
    assert site.sign_in(site.browser()).status_code == 303


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example"},
        {"authorization_endpoint": "http://evil.example/authorize"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": None},
        {"authorization_endpoint": "https://user:pass@evil.example/"},
        {"padding": "x" * 600_000},
    ],
    ids=lambda d: str(d)[:60],
)
def test_a_description_that_is_not_the_issuers_is_refused(site, document):
    site.provider.document = document
    answer = site.browser().get("/login/oidc")
    assert answer.status_code == 502
    assert "location" not in answer.headers


@pytest.mark.parametrize("endpoint", ["token_endpoint", "jwks_uri"])
@pytest.mark.parametrize(
    "address", ["http://169.254.169.254/latest/", "file:///etc/passwd", "http://10.0.0.1/x"]
)
def test_nothing_but_https_or_this_machine_is_asked(site, endpoint, address):
    site.provider.document = {endpoint: address}
    browser = site.browser()
    before = site.provider.asked.count("token")
    text = refused(site, browser, site.sign_in(browser))
    assert f"no {endpoint} over https" in text
    assert site.provider.asked.count("token") == before + (endpoint == "jwks_uri")


def test_redirects_of_the_provider_are_not_followed(site):
    site.provider.document = {"token_endpoint": f"{site.provider.address}/moved"}
    browser = site.browser()
    before = site.provider.asked.count("token")
    refused(site, browser, site.sign_in(browser))
    assert site.provider.asked[-1] == "moved"
    assert site.provider.asked.count("token") == before


def test_too_many_beginnings_are_slowed_down(site, tmp_path, monkeypatch):
    monkeypatch.setattr("annotate.signing_in._TRIES_PER_NAME", 10)
    server = Server(tmp_path, oidc=site.server.config.oidc)
    browser = server.client()
    codes = [browser.get("/login/oidc").status_code for _ in range(12)]
    assert codes == [303] * 10 + [429] * 2
    answer = browser.post("/login", data={"name": "bob", "password": PASSWORD})
    assert answer.status_code == 303
    server.store.close()


def test_too_many_ways_back_are_slowed_down(site, tmp_path, monkeypatch):
    """Whoever makes up a cookie with its state has the server ask the provider, time and again."""
    monkeypatch.setattr("annotate.signing_in._TRIES_PER_NAME", 10)
    server = Server(tmp_path, oidc=site.server.config.oidc)
    browser, before = server.client(), site.provider.asked.count("token")
    for n in range(12):
        made_up = {"Cookie": f"pairloop_oidc=state{n}.nonce.verifier"}
        back = {"state": f"state{n}", "code": "made up"}
        answer = browser.get("/login/oidc/callback", params=back, headers=made_up)
        assert answer.status_code == (401 if n < 10 else 429)
    assert site.provider.asked.count("token") == before + 10
    server.store.close()


@pytest.mark.parametrize("issuer", ["http://issuer.example", "http://127.0.0.1.evil.example"])
def test_an_issuer_in_the_clear_is_refused_at_the_start(issuer):
    with pytest.raises(ConfigurationError, match="not https"):
        Provider(Oidc(issuer=issuer, client_id="x"), secret="")


def test_without_single_sign_on_there_is_no_such_route(own):
    assert own.client("ann").get("/login/oidc").status_code == 404
    assert "/login/oidc" not in own.client().get("/login").text
