"""What work people get, on a real store."""

import pytest
from factories import PASSWORD, open_store

from annotate.accounts import (
    add_labeler,
    check_password,
    disable_labeler,
    enable_labeler,
    session_labeler,
    start_session,
)
from annotate.people import change_settings, settings_of
from storage import team
from storage.errors import ConflictError, InputError


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path) as opened, opened.connected():
        add_labeler(opened, "ann", password=None)
        yield opened


def trail(store):
    return [(a.actor, a.action, a.subject, a.detail) for a in reversed(team.activities(store))]


def test_only_what_is_given_changes_and_each_change_is_noted(store):
    change_settings(store, "ann", author="lead", paused=True, daily_limit=50)
    change_settings(store, "ann", author="lead", groups=["medics", "@night shift", "medics"])
    change_settings(store, "ann", author="boss", paused=False, qualified=True, daily_limit=None)

    now = settings_of(store, "ann")
    assert (now.paused, now.qualified, now.groups) == (False, True, ("medics", "night shift"))
    assert (now.daily_limit, now.total_limit, now.revision) == (None, None, 2)
    assert team.labeler_settings(store) == {"ann": now}
    assert trail(store)[1:] == [
        ("lead", "paused", "ann", ""),
        ("lead", "limits changed", "ann", "a day: 50, in all: none"),
        ("lead", "groups changed", "ann", "medics, night shift"),
        ("boss", "resumed", "ann", ""),
        ("boss", "limits changed", "ann", "a day: none, in all: none"),
        ("boss", "let in", "ann", ""),
    ]


def test_what_changes_nothing_is_neither_stored_nor_noted(store):
    change_settings(store, "ann", author="lead", paused=True)
    before = trail(store)
    again = change_settings(store, "ann", author="boss", paused=True)
    assert again.author == "lead"
    assert trail(store) == before


def test_a_limit_is_kept_unless_it_is_named(store):
    change_settings(store, "ann", author="lead", daily_limit=5, total_limit=9)
    kept = change_settings(store, "ann", author="lead", paused=True)
    assert (kept.daily_limit, kept.total_limit) == (5, 9)
    assert change_settings(store, "ann", author="lead", total_limit=None).total_limit is None


@pytest.mark.parametrize("changes", [{"daily_limit": 0}, {"total_limit": -1}, {"groups": ["a/b"]}])
def test_wrong_values_are_refused_and_nothing_is_stored(store, changes):
    with pytest.raises(InputError):
        change_settings(store, "ann", author="lead", paused=True, **changes)
    assert team.labeler_settings(store) == {}


def test_nobody_has_no_settings(store):
    with pytest.raises(InputError, match=r"no labeler 'bob'\. Known: ann"):
        change_settings(store, "bob", author="lead", paused=True)


def test_an_account_is_opened_again_with_its_password_and_without_its_old_sessions(store):
    add_labeler(store, "bob", password=PASSWORD)
    token = start_session(store, "bob", hours=1)
    disable_labeler(store, "bob", author="lead")
    enable_labeler(store, "bob", author="lead")
    enable_labeler(store, "bob", author="lead")
    assert session_labeler(store, token) is None
    assert check_password(store, "bob", PASSWORD).revision == 2
    assert trail(store)[-2:] == [
        ("lead", "account disabled", "bob", ""),
        ("lead", "account enabled", "bob", ""),
    ]


def test_nobody_disables_their_own_account(store):
    with pytest.raises(ConflictError, match="your own account"):
        disable_labeler(store, "ann", author="ann")
