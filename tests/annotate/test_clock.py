"""A clock that is set back: the order in which things arrived still holds, and nobody is locked out."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from factories import PASSWORD, fill_store, open_store

import storage.store
from annotate.accounts import (
    change_account,
    disable_labeler,
    enable_labeler,
    known_labeler,
    session_labeler,
    start_session,
)
from annotate.cards import Choice, Submission
from annotate.config import AnnotateConfig
from annotate.consensus import settle
from annotate.desk import Desk
from annotate.passwords import make_reset, whose_reset
from annotate.tokens import create_token, token_labeler
from storage.judgments import judgments
from storage.pairs import consensus_by_pair
from storage.records import Verdict
from storage.store import Store

CONFIG = AnnotateConfig()


class Clock:
    """The machine's, set forward or back."""

    def __init__(self) -> None:
        self.off = timedelta()

    def now(self, zone) -> datetime:
        assert zone is UTC
        return datetime.now(UTC) + self.off

    def back(self, **by: float) -> None:
        self.off -= timedelta(**by)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """What storage.store.utc_now reads."""
    clock = Clock()
    monkeypatch.setattr(storage.store, "datetime", clock)
    return clock


@pytest.fixture
def store(tmp_path: Path, clock) -> Iterator[Store]:
    with open_store(tmp_path) as opened, opened.connected():
        fill_store(opened, pairs=6, labelers=("ann",), admin=None)
        yield opened


def judge(desk: Desk, presentation: str, choice: Choice) -> None:
    given = Submission(
        key=uuid4().hex, presentation=presentation, choice=choice, strength=None, seconds=2.0
    )
    desk.submit("ann", given)


def test_the_last_decision_to_arrive_counts_also_after_a_restart(store, clock):
    desk = Desk(store, CONFIG)
    first, second = (card.presentation for card in desk.cards("ann", count=2, have=()))
    judge(desk, first, Choice.LEFT)
    clock.back(hours=1)
    judge(desk, second, Choice.LEFT)
    judge(desk, first, Choice.TIE)

    again = Desk(store, CONFIG)

    assert [j.verdict for j in judgments(store) if j.presentation_id == first] == [Verdict.TIE]
    newest, older = again.history("ann", count=5)
    assert (newest[0].presentation_id, newest[0].verdict) == (first, Verdict.TIE)
    assert older[0].presentation_id == second


def test_undo_takes_back_the_decision_that_arrived_last_also_after_a_restart(store, clock):
    desk = Desk(store, CONFIG)
    first, second = (card.presentation for card in desk.cards("ann", count=2, have=()))
    judge(desk, first, Choice.LEFT)
    clock.back(hours=1)
    judge(desk, second, Choice.RIGHT)
    assert Desk(store, CONFIG).undo("ann", key=uuid4().hex).presentation == second
    clock.back(hours=1)
    assert Desk(store, CONFIG).undo("ann", key=uuid4().hex).presentation == first
    assert judgments(store) == []
    assert Desk(store, CONFIG).progress("ann").judged == 0


def test_whoever_signs_in_after_the_clock_was_set_back_is_signed_in(store, clock):
    change_account(store, known_labeler(store, "ann"), password_hash="scrypt$")
    clock.back(hours=1)
    assert session_labeler(store, start_session(store, "ann", hours=8)).name == "ann"
    assert token_labeler(store, create_token(store, "ann", label="a script")).name == "ann"
    assert whose_reset(store, make_reset(store, "ann", author="lead")) == "ann"


def test_what_ends_sign_ins_ends_those_that_a_fast_clock_dated_later(store, clock):
    session = start_session(store, "ann", hours=8)
    token = create_token(store, "ann", label="a script")
    link = make_reset(store, "ann", author="lead")
    clock.back(hours=1)
    disable_labeler(store, "ann", author="lead")
    enable_labeler(store, "ann", author="lead")
    assert session_labeler(store, session) is None
    assert token_labeler(store, token) is None
    assert whose_reset(store, link) is None
    assert session_labeler(store, start_session(store, "ann", hours=8)) is not None


def test_other_settings_settle_pairs_anew_once(store, clock):
    desk = Desk(store, CONFIG)
    (card,) = desk.cards("ann", count=1, have=())
    judge(desk, card.presentation, Choice.TIE)
    (before,) = consensus_by_pair(store).values()
    assert not before.settled
    clock.back(hours=1)
    one_vote = CONFIG.model_copy(update={"votes_per_pair": 1})
    assert settle(store, one_vote) == 1
    (after,) = consensus_by_pair(store).values()
    assert after.settled
    assert settle(store, one_vote) == 0


def test_a_daily_limit_holds_when_today_seems_to_be_yesterday(store, clock):
    limited = CONFIG.model_copy(update={"daily_limit": 2})
    desk = Desk(store, limited)
    for card in desk.cards("ann", count=2, have=()):
        judge(desk, card.presentation, Choice.LEFT)
    clock.back(days=1)
    assert desk.cards("ann", count=2, have=()) == []
    assert desk.progress("ann").today == 2


def test_leases_run_by_a_clock_that_nobody_sets(store, clock):
    desk = Desk(store, CONFIG)
    held = {card.presentation for card in desk.cards("ann", count=6, have=())}
    clock.back(days=2)
    assert desk.heartbeat("ann", have=held).gone == []
    assert {card.presentation for card in desk.cards("ann", count=6, have=())} == held


def test_the_password_is_that_of_the_last_change(store, clock):
    from annotate.accounts import check_password, hash_password

    clock.back(hours=1)
    known = known_labeler(store, "ann")
    change_account(store, known, password_hash=hash_password("another one"))
    assert check_password(store, "ann", "another one") is not None
    assert check_password(store, "ann", PASSWORD) is None
