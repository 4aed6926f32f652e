"""The page of one's own account: tokens and password, without a script."""

import re

import httpx
import pytest
from factories import PASSWORD
from serving import listening
from web import sign_in

from annotate.accounts import check_password, token_hash
from annotate.tokens import create_token, tokens_of

NEW = "another long password"


@pytest.fixture
def site(own):
    with listening(own.app) as address:
        own.address = address
        yield own


def test_a_token_is_shown_once_works_and_is_revoked(site):
    ann = sign_in(site.address, "ann")
    made = ann.post("/account/tokens", data={"label": "<b>nightly</b>", "days": "2"})
    (token,) = re.findall(r'readonly value="(pairloop_[^"]+)"', made.text)
    by_token = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{site.address}/api/me", headers=by_token).json()["name"] == "ann"
    page = ann.get("/account").text
    assert token not in page
    assert "&lt;b&gt;nightly" in page
    assert "<b>" not in page
    assert "default-src 'none'" in ann.get("/account").headers["content-security-policy"]
    revoke = f"/account/tokens/{token_hash(token)}/revoke"
    assert revoke in page
    assert sign_in(site.address, "lead").post(revoke).status_code == 404, "a page for one's own"
    assert httpx.post(site.address + revoke, headers=by_token).status_code == 403
    foreign = {"Origin": "https://elsewhere.example"}
    assert ann.post(revoke, headers=foreign).status_code == 403
    assert ann.post(revoke).headers["location"] == "/account"
    assert httpx.get(f"{site.address}/api/me", headers=by_token).status_code == 401
    assert "revoked" in ann.get("/account").text


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"label": " "}, "what the token is for"),
        ({"label": "x", "days": "soon"}, "is no number of days"),
        ({"label": "x", "days": "-1"}, "A token holds up to 3650 days"),
        ({"label": "x", "days": "nan"}, "A token holds up to 3650 days"),
    ],
)
def test_what_is_wrong_with_a_token_is_said(own, form, why):
    answer = own.client("ann").post("/account/tokens", data=form)
    assert answer.status_code == 422
    assert why in answer.text
    assert tokens_of(own.store, "ann") == []


def test_a_new_password_needs_the_old_one_and_signs_out_everywhere_else(site):
    here, there = sign_in(site.address, "ann"), sign_in(site.address, "ann")
    token = create_token(site.store, "ann", label="x")
    new = {"password": NEW, "again": NEW}
    wrong = [
        ({"current": "wrong", **new}, "not your current password"),
        ({"current": PASSWORD, "password": NEW, "again": "other"}, "passwords differ"),
        ({"current": PASSWORD, "password": "short", "again": "short"}, "8 or more"),
    ]
    for form, why in wrong:
        answer = here.post("/account/password", data=form)
        assert answer.status_code == 422
        assert why in answer.text
    assert check_password(site.store, "ann", PASSWORD)
    answer = here.post("/account/password", data={"current": PASSWORD, **new})
    assert answer.headers["location"] == "/account?changed"
    assert "Your password is changed." in here.get("/account?changed").text
    assert there.get("/api/me").status_code == 401
    by_token = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{site.address}/api/me", headers=by_token).status_code == 401
    assert check_password(site.store, "ann", NEW)
