"""Accounts and sign-ins, on a real store and with real hashes."""

import hashlib
import hmac
from datetime import timedelta

import pytest
from factories import NOW, PASSWORD, open_store

from annotate.accounts import (
    add_labeler,
    change_role,
    check_password,
    disable_labeler,
    end_session,
    hash_password,
    session_labeler,
    start_session,
    token_hash,
    verify_password,
)
from pairloop.imports.encode import labeler_record
from storage import team
from storage.errors import ConflictError, InputError
from storage.judgments import labelers
from storage.records import LabelerKind, Role, Session
from storage.store import utc_now


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path) as opened, opened.connected():
        yield opened


def test_a_password_is_never_stored_as_it_is(store, tmp_path):
    ann = add_labeler(store, "ann", password=PASSWORD)
    assert PASSWORD not in ann.password_hash
    assert labelers(store) == {"ann": ann}
    for file in tmp_path.iterdir():
        assert PASSWORD.encode() not in file.read_bytes()


def test_equal_passwords_have_different_hashes():
    one, other = hash_password(PASSWORD), hash_password(PASSWORD)
    assert one != other
    assert verify_password(PASSWORD, one)
    assert verify_password(PASSWORD, other)
    assert not verify_password(PASSWORD + " ", one)


@pytest.mark.parametrize("stored", ["", "plain", "md5$1$1$1$AAAA$AAAA", "a$b"])
def test_what_is_no_hash_matches_no_password(stored):
    assert not verify_password(stored, stored)
    assert not verify_password("", stored)


def test_only_the_right_name_and_password_of_an_active_account_sign_in(store):
    add_labeler(store, "ann", password=PASSWORD, role=Role.ADJUDICATOR)
    add_labeler(store, "linked", password=None)
    assert check_password(store, "ann", PASSWORD).role is Role.ADJUDICATOR
    assert check_password(store, "ann", PASSWORD + "x") is None
    assert check_password(store, "Ann", PASSWORD) is None
    assert check_password(store, "nobody", PASSWORD) is None
    assert check_password(store, "linked", "") is None
    disable_labeler(store, "ann")
    assert check_password(store, "ann", PASSWORD) is None


def test_a_wrong_name_takes_the_same_work_as_a_wrong_password(store, monkeypatch):
    """So that the time an answer takes does not tell who has an account."""
    add_labeler(store, "ann", password=PASSWORD)
    add_labeler(store, "linked", password=None)
    add_labeler(store, "gone", password=PASSWORD)
    disable_labeler(store, "gone")
    hashed, compared = [], []
    scrypt, compare = hashlib.scrypt, hmac.compare_digest
    monkeypatch.setattr(hashlib, "scrypt", lambda *a, **k: hashed.append(k["n"]) or scrypt(*a, **k))
    monkeypatch.setattr(hmac, "compare_digest", lambda *a: compared.append(1) or compare(*a))
    for name in ("ann", "linked", "gone", "nobody", ""):
        assert check_password(store, name, "wrong") is None
    assert hashed == [2**14] * 5
    assert len(compared) == 5


def test_passwords_of_any_script_sign_in(store):
    add_labeler(store, "李 雷", password="пароль🔑\0 密码")
    assert check_password(store, "李 雷", "пароль🔑\0 密码").name == "李 雷"


@pytest.mark.parametrize("password", ["", "seven77", "       "])
def test_a_short_password_is_refused(store, password):
    with pytest.raises(InputError, match=f"has {len(password)} characters; it needs 8 or more"):
        add_labeler(store, "ann", password=password)
    assert labelers(store) == {}


@pytest.mark.parametrize("name", ["", "  ", "x" * 81, "a\nb", "a\0b", "caf\udce9"])
def test_a_name_that_nobody_could_type_is_refused(store, name):
    with pytest.raises(InputError, match="can't be a labeler's name"):
        add_labeler(store, name, password=None)


def test_an_active_name_is_not_given_twice(store):
    add_labeler(store, "ann", password=PASSWORD)
    with pytest.raises(ConflictError, match="already a labeler 'ann'"):
        add_labeler(store, "ann", password="another password", role=Role.ADMIN)
    assert check_password(store, "ann", PASSWORD).role is Role.LABELER


def test_a_disabled_name_can_be_added_again_with_a_new_password(store):
    add_labeler(store, "ann", password=PASSWORD)
    disable_labeler(store, "ann")
    add_labeler(store, "ann", password="another password")
    assert check_password(store, "ann", PASSWORD) is None
    assert check_password(store, "ann", "another password").revision == 2


def test_disabling_keeps_the_account_and_names_those_there_are(store):
    add_labeler(store, "judge", password=None, kind=LabelerKind.MODEL)
    disable_labeler(store, "judge")
    judge = labelers(store)["judge"]
    assert (judge.active, judge.kind) == (False, LabelerKind.MODEL)
    with pytest.raises(InputError, match=r"no labeler 'nobody'\. Known: judge"):
        disable_labeler(store, "nobody")


def test_a_session_lasts_until_its_end_and_its_token_is_not_stored(store):
    add_labeler(store, "ann", password=None)
    token = start_session(store, "ann", hours=1)
    assert session_labeler(store, token).name == "ann"
    assert len(token) >= 43  # 256 bits
    assert token not in str(store.query("session_by_token", token_hash=token_hash(token)))
    assert session_labeler(store, start_session(store, "ann", hours=-1)) is None
    assert session_labeler(store, token + "x") is None
    assert session_labeler(store, token_hash(token)) is None
    assert session_labeler(store, "") is None


def test_signing_out_ends_one_session_and_not_the_others(store):
    add_labeler(store, "ann", password=None)
    one, other = (start_session(store, "ann", hours=1) for _ in range(2))
    end_session(store, one)
    end_session(store, one)
    end_session(store, "never given out")
    assert session_labeler(store, one) is None
    assert session_labeler(store, other).name == "ann"


def test_a_session_that_was_ended_stays_ended_whatever_is_appended_later(store):
    add_labeler(store, "ann", password=None)
    token = start_session(store, "ann", hours=1)
    end_session(store, token)
    again = Session(
        token_hash=token_hash(token),
        labeler="ann",
        revoked=False,
        expires_at=NOW + timedelta(days=36500),
        created_at=NOW,
    )
    store.append([again])
    assert session_labeler(store, token) is None


def test_a_disabled_account_is_signed_out_at_once(store):
    add_labeler(store, "ann", password=None)
    token = start_session(store, "ann", hours=1)
    disable_labeler(store, "ann")
    assert session_labeler(store, token) is None


def test_an_account_given_out_again_does_not_revive_its_old_sessions(store):
    """The name may be another person's now, and with another role."""
    add_labeler(store, "ann", password=None, role=Role.ADJUDICATOR)
    token = start_session(store, "ann", hours=1)
    disable_labeler(store, "ann")
    add_labeler(store, "ann", password=None, role=Role.LABELER)
    assert session_labeler(store, token) is None
    assert session_labeler(store, start_session(store, "ann", hours=1)).role is Role.LABELER


def test_nobody_can_take_the_name_of_somebody_imported(store):
    with pytest.raises(InputError, match="imported"):
        add_labeler(store, "imported:votes:7", password=None)


def test_a_role_is_changed_and_noted(store):
    add_labeler(store, "ann", password=PASSWORD)
    token = start_session(store, "ann", hours=1)
    change_role(store, "ann", Role.ADJUDICATOR, author="lead")
    change_role(store, "ann", Role.ADJUDICATOR, author="lead")
    assert session_labeler(store, token) is None
    assert check_password(store, "ann", PASSWORD).role is Role.ADJUDICATOR
    assert [(a.actor, a.action, a.subject, a.detail) for a in team.activities(store)][:2] == [
        ("lead", "role changed", "ann", "from labeler to adjudicator"),
        ("command line", "account added", "ann", "labeler"),
    ]


@pytest.mark.parametrize("leave", ["demoted", "disabled"])
def test_the_only_admin_stays_one(store, leave):
    """Not of those who are disabled, nor of models, nor by their own hand."""

    def go(name):
        if leave == "demoted":
            change_role(store, name, Role.LABELER)
        else:
            disable_labeler(store, name)

    for name in ("lead", "other"):
        add_labeler(store, name, password=None, role=Role.ADMIN)
    add_labeler(store, "judge", password=None, role=Role.ADMIN, kind=LabelerKind.MODEL)
    with pytest.raises(ConflictError, match="your own role"):
        change_role(store, "lead", Role.LABELER, author="lead")
    go("other")
    with pytest.raises(ConflictError, match="lead is the only admin"):
        go("lead")
    assert labelers(store)["lead"].active
    assert labelers(store)["lead"].role is Role.ADMIN


def test_models_and_people_from_elsewhere_have_no_role_to_change(store):
    add_labeler(store, "judge", password=None, kind=LabelerKind.MODEL)
    store.append([labeler_record("imported:votes:w1", LabelerKind.HUMAN, now=utc_now())])
    for name, what in (("judge", "a model"), ("imported:votes:w1", "votes were imported")):
        with pytest.raises(InputError, match=what):
            change_role(store, name, Role.ADMIN)
    with pytest.raises(InputError, match="no labeler 'nobody'"):
        change_role(store, "nobody", Role.ADMIN)
