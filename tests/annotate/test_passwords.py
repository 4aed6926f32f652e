"""New passwords: links for those who forgot theirs, over real HTTP, and from the command line."""

import threading
from datetime import timedelta

import httpx
import pytest
from factories import PASSWORD
from serving import listening
from web import sign_in

from annotate import passwords
from annotate.accounts import add_labeler, change_role, check_password, disable_labeler
from annotate.passwords import change_own, make_reset, set_password, use_reset, whose_reset
from annotate.tokens import create_token
from storage import team
from storage.errors import ConflictError, InputError
from storage.records import LabelerKind, Role

NEW = "another long password"
FORM = {"password": NEW, "again": NEW}


@pytest.fixture
def site(own):
    with listening(own.app) as address:
        own.address = address
        yield own


def browser(site):
    return httpx.Client(base_url=site.address, follow_redirects=False, timeout=30)


def trail(store, count):
    found = team.activities(store)[:count]
    return [(a.actor, a.action, a.subject, a.detail) for a in reversed(found)]


def test_a_link_changes_the_password_once_and_signs_out_everywhere(site):
    ann = sign_in(site.address, "ann")
    token = ann.post("/api/tokens", json={"label": "x"}).json()["token"]
    made = sign_in(site.address, "lead").post("/api/people/ann/reset")
    assert (made.status_code, made.json()["hours"]) == (201, 24)
    link = made.json()["path"]
    assert ann.get("/api/me").is_success, "the old password counts until the link is used"
    here = browser(site)
    for _ in range(2):  # a preview of the link must not use it up
        page = here.get(link)
        assert "new password for <strong>ann</strong>" in page.text
        assert "set-cookie" not in page.headers
    answer = here.post(link, data=FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, "/label/")
    assert here.get("/api/me").json()["name"] == "ann"
    assert ann.get("/api/me").status_code == 401
    by_token = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{site.address}/api/me", headers=by_token).status_code == 401
    assert check_password(site.store, "ann", PASSWORD) is None
    assert check_password(site.store, "ann", NEW).name == "ann"
    for again in (browser(site).get(link), browser(site).post(link, data=FORM)):
        assert again.status_code == 410
        assert "used already" in again.text
    assert trail(site.store, 3) == [
        ("lead", "password reset link made", "ann", ""),
        ("ann", "password changed", "ann", "by a link"),
        ("ann", "signed in", "", "password reset"),
    ]
    with site.store.connected() as connection:
        rows = connection.query("select * from password_reset_rows", {}).to_pylist()
    assert rows[0]["labeler"] == "ann"
    assert link.removeprefix("/reset/") not in str(rows) + str(team.activities(site.store))


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"password": "short", "again": "short"}, "it needs 8 or more"),
        ({"password": NEW, "again": PASSWORD}, "The two passwords differ"),
        ({}, "0 characters"),
    ],
)
def test_what_is_wrong_is_said_and_the_link_still_holds(site, form, says):
    link, here = f"/reset/{make_reset(site.store, 'ann', author='lead')}", browser(site)
    answer = here.post(link, data=form)
    assert answer.status_code == 422
    assert says in answer.text
    assert NEW not in answer.text
    assert "set-cookie" not in answer.headers
    assert here.post(link, data=FORM).status_code == 303


def test_guessing_links_is_slowed_down_and_tells_nothing(site):
    answers = [browser(site).post(f"/reset/guess{n}", data=FORM) for n in range(31)]
    assert [a.status_code for a in answers] == [410] * 30 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0
    assert len({a.text for a in answers[:30]}) == 1


def test_another_site_can_not_press_it(site):
    link = f"/reset/{make_reset(site.store, 'ann')}"
    foreign = {"Origin": "https://elsewhere.example"}
    assert browser(site).post(link, data=FORM, headers=foreign).status_code == 403
    assert whose_reset(site.store, link.removeprefix("/reset/")) == "ann"


def test_two_presses_at_the_same_time_change_it_once(site):
    token, done, start = make_reset(site.store, "ann"), [], threading.Barrier(4)

    def press(number):
        start.wait()
        try:
            done.append(use_reset(site.store, token, f"password number {number}"))
        except ConflictError as error:
            done.append(str(error))

    threads = [threading.Thread(target=press, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done.count("ann") == 1
    assert len([d for d in done if "used already" in d]) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda store: disable_labeler(store, "ann"),
        lambda store: change_role(store, "ann", Role.ADJUDICATOR),
        lambda store: set_password(store, "ann", NEW),
        lambda store: use_reset(store, make_reset(store, "ann"), NEW),
    ],
    ids=["disabled", "other role", "other password", "other link"],
)
def test_whatever_changes_the_account_ends_its_links(own, change):
    token = make_reset(own.store, "ann")
    assert whose_reset(own.store, token) == "ann"
    change(own.store)
    assert whose_reset(own.store, token) is None
    with pytest.raises(ConflictError, match="Ask for a new one"):
        use_reset(own.store, token, "a third password")


def test_a_link_ends_after_a_day(own, monkeypatch):
    token, now = make_reset(own.store, "ann"), passwords.utc_now()
    for hours, whose in ((23, "ann"), (25, None)):
        later = now + timedelta(hours=hours)
        monkeypatch.setattr(passwords, "utc_now", lambda later=later: later)
        assert whose_reset(own.store, token) == whose
    assert whose_reset(own.store, "made up") is None


def test_only_people_with_an_open_account_have_a_password(own):
    add_labeler(own.store, "judge", password=None, kind=LabelerKind.MODEL)
    disable_labeler(own.store, "bob")
    for name, why in (("judge", "a model"), ("bob", "is disabled"), ("nobody", "no labeler")):
        with pytest.raises(InputError, match=why):
            make_reset(own.store, name)
        with pytest.raises(InputError, match=why):
            set_password(own.store, name, NEW)


def test_ones_own_password_needs_the_current_one(own):
    token = create_token(own.store, "ann", label="x")
    with pytest.raises(InputError, match="not your current password"):
        change_own(own.store, "ann", current="wrong", password=NEW)
    assert check_password(own.store, "ann", PASSWORD)
    change_own(own.store, "ann", current=PASSWORD, password=NEW)
    assert check_password(own.store, "ann", NEW)
    by_token = {"Authorization": f"Bearer {token}"}
    assert own.client().get("/api/me", headers=by_token).status_code == 401
    assert trail(own.store, 1) == [("ann", "password changed", "ann", "")]
