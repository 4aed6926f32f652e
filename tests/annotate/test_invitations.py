"""Invitations: links that make one account each."""

import threading

import pytest
from factories import PASSWORD

from annotate.accounts import add_labeler, check_password, disable_labeler, token_hash
from annotate.invitations import InvitationState, accept, find, invite, revoke, state_of
from annotate.people import settings_of
from storage import team
from storage.errors import ConflictError, InputError
from storage.judgments import labelers
from storage.records import Role


def test_a_link_makes_one_account_with_its_name_role_and_groups(store):
    token = invite(store, role=Role.ADJUDICATOR, author="lead", name="ann", groups=["medics"])
    assert state_of(find(store, token)) is InvitationState.OPEN

    made = accept(store, token, name="someone else", password=PASSWORD)

    assert (made.name, made.role, made.active) == ("ann", Role.ADJUDICATOR, True)
    assert check_password(store, "ann", PASSWORD) == made
    assert settings_of(store, "ann").groups == ("medics",)
    assert find(store, token).used_by == "ann"
    with pytest.raises(ConflictError, match="used already"):
        accept(store, token, name="", password=PASSWORD)
    noted = {(a.actor, a.action) for a in team.activities(store)}
    assert {("lead", "invited"), ("ann", "account added"), ("ann", "invitation accepted")} <= noted


def test_the_store_holds_no_token(store):
    token = invite(store, role=Role.LABELER, author="lead")
    with store.connected() as connection:
        rows = connection.query("select * from invitation_rows", {}).to_pylist()
        trail = connection.query("select * from activity_rows", {}).to_pylist()
    assert len(token) >= 43
    assert token not in str(rows) + str(trail)
    assert find(store, token_hash(token)) is None


def test_two_who_press_at_once_make_one_account(store):
    token = invite(store, role=Role.LABELER, author="lead")
    start, made, refused = threading.Barrier(8), [], []

    def press(number):
        start.wait()
        try:
            made.append(accept(store, token, name=f"name {number}", password=PASSWORD).name)
        except ConflictError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=press, args=[n]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(refused) == 7
    assert list(labelers(store)) == made


def test_two_links_do_not_make_one_name_twice(store):
    tokens = [invite(store, role=Role.LABELER, author="lead") for _ in range(4)]
    start, made = threading.Barrier(4), []

    def press(token):
        start.wait()
        try:
            made.append(accept(store, token, name="ann", password=PASSWORD))
        except ConflictError:
            return

    threads = [threading.Thread(target=press, args=[t]) for t in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert labelers(store)["ann"].revision == 0


@pytest.mark.parametrize("name", ["ann", " ANN ", "ａｎｎ", "an\u200bn", "", "@medics", "x" * 81])
def test_a_name_that_is_anothers_or_looks_like_it_is_refused(store, name):
    """A disabled account's name too: whoever has a link must not get its history."""
    add_labeler(store, "ann", password=PASSWORD)
    disable_labeler(store, "ann")
    token = invite(store, role=Role.LABELER, author="lead")
    with pytest.raises((ConflictError, InputError)):
        accept(store, token, name=name, password=PASSWORD)
    assert accept(store, token, name="anna", password=PASSWORD).name == "anna"


def test_a_lead_may_give_a_disabled_name_to_somebody_again(store):
    add_labeler(store, "ann", password=PASSWORD)
    with pytest.raises(ConflictError, match="already a labeler 'ann'"):
        invite(store, role=Role.LABELER, author="lead", name="ann")
    disable_labeler(store, "ann")
    token = invite(store, role=Role.LABELER, author="lead", name="ann")
    assert accept(store, token, name="", password="another password").revision == 2


def test_a_revoked_or_expired_or_made_up_link_makes_no_account(store):
    revoked = invite(store, role=Role.LABELER, author="lead")
    revoke(store, token_hash(revoked), author="lead")
    expired = invite(store, role=Role.LABELER, author="lead", days=1e-9)
    for token, why in ((revoked, "taken back"), (expired, "expired"), ("made up", "not one of")):
        with pytest.raises(ConflictError, match=why):
            accept(store, token, name="ann", password=PASSWORD)
    assert labelers(store) == {}
    with pytest.raises(InputError, match="no such open invitation"):
        revoke(store, token_hash(revoked), author="lead")


def test_a_short_password_does_not_use_the_link_up(store):
    token = invite(store, role=Role.LABELER, author="lead")
    with pytest.raises(InputError, match="it needs 8 or more"):
        accept(store, token, name="ann", password="short")
    assert accept(store, token, name="ann", password=PASSWORD).active


@pytest.mark.parametrize("days", [0, -1, 91, float("nan"), float("inf")])
def test_an_invitation_holds_for_days_not_for_ever(store, days):
    with pytest.raises(InputError, match="holds up to 90 days"):
        invite(store, role=Role.LABELER, author="lead", days=days)
