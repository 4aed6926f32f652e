"""API tokens: keys for programs, each acting as one labeler."""

import pytest
from factories import open_store

from annotate.accounts import (
    add_labeler,
    disable_labeler,
    enable_labeler,
    session_labeler,
    start_session,
    token_hash,
)
from annotate.tokens import create_token, is_active, revoke_token, token_labeler, tokens_of
from storage import team
from storage.errors import InputError
from storage.records import Role


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path) as opened, opened.connected():
        add_labeler(opened, "ann", password=None, role=Role.ADJUDICATOR)
        yield opened


def test_a_token_acts_as_its_labeler_and_is_not_stored(store):
    token = create_token(store, "ann", label="nightly report")
    assert token_labeler(store, token).role is Role.ADJUDICATOR
    (row,) = tokens_of(store, "ann")
    assert (row.label, row.expires_at, is_active(row)) == ("nightly report", None, True)
    assert token not in str(row)
    assert tokens_of(store, "bob") == []
    assert team.activities(store)[0].action == "token made"


def test_what_is_no_token_is_nobody(store):
    token = create_token(store, "ann", label="x")
    session = start_session(store, "ann", hours=1)
    for wrong in ("", token + "x", token[:-1], token_hash(token), session, token.upper()):
        assert token_labeler(store, wrong) is None
    assert session_labeler(store, token) is None


def test_a_revoked_or_expired_token_is_nobody(store):
    one, other = (create_token(store, "ann", label="x") for _ in range(2))
    revoke_token(store, token_hash(one), author="ann")
    assert token_labeler(store, one) is None
    assert token_labeler(store, other).name == "ann"
    assert token_labeler(store, create_token(store, "ann", label="x", days=1e-9)) is None
    with pytest.raises(InputError, match="no such token"):
        revoke_token(store, token_hash(one), author="ann")
    with pytest.raises(InputError, match="no such token"):
        revoke_token(store, "0" * 64, author="ann")


def test_disabling_an_account_ends_its_tokens_for_good(store):
    token = create_token(store, "ann", label="x")
    disable_labeler(store, "ann")
    assert token_labeler(store, token) is None
    with pytest.raises(InputError, match="disabled"):
        create_token(store, "ann", label="x")
    enable_labeler(store, "ann")
    assert token_labeler(store, token) is None


@pytest.mark.parametrize("label", ["", "   ", "x" * 81, "a\nb", "\u202ex"])
def test_a_token_says_what_it_is_for(store, label):
    with pytest.raises(InputError, match="what the token is for"):
        create_token(store, "ann", label=label)


def test_nobody_piles_up_tokens(store):
    tokens = [create_token(store, "ann", label="x") for _ in range(20)]
    with pytest.raises(InputError, match="20 tokens already"):
        create_token(store, "ann", label="x")
    revoke_token(store, token_hash(tokens[0]), author="lead")
    assert create_token(store, "ann", label="x")
