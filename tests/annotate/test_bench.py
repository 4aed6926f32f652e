"""Cases from the own view to the decision, and what a decision does to the pair."""

import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
from disputed import fill_disputed
from factories import open_store

from annotate.adjudication import Kind, Show, shown
from annotate.bench import Bench
from annotate.cards import Choice, Submission, to_choice
from annotate.config import AnnotateConfig
from annotate.consensus import settle
from annotate.desk import Desk
from storage import adjudications, team
from storage.adjudication_records import Cause
from storage.errors import ConflictError, InputError
from storage.pairs import consensus_of_pair
from storage.records import Purpose, Verdict
from storage.team_records import GoldUse

CONFIG = AnnotateConfig(repeat_share=0, gold_share=0, sentinel_share=0)
number = count()


def key():
    return f"key-{next(number):08}"


class Room:
    """A store with disputed pairs, its desk and bench; `again` is a restart."""

    def __init__(self, folder):
        self.settled = []
        self.store = open_store(folder, hold=True)
        self.filled = fill_disputed(self.store)
        self.again()

    def again(self):
        self.desk = Desk(self.store, CONFIG, on_settled=self.settled.append)
        self.bench = Bench(self.store, self.desk)

    def pair(self, at):
        return self.filled.pairs[at].id

    def view(self, who, at, choice=Choice.TIE):
        return self.bench.give_view(
            who, self.pair(at), key=key(), choice=choice, strength=None, note="", seconds=2.0
        )

    def decide(self, who, at, verdict, *, cause=Cause.STYLE, note=""):
        seen = self.bench.reveal(who, self.pair(at))
        choice = None if verdict is None else to_choice(verdict, seen.first_side)
        return self.bench.decide(
            who, self.pair(at), key=key(), choice=choice, cause=cause, note=note
        )

    def consensus(self, at):
        return consensus_of_pair(self.store, self.pair(at))

    def vote(self, who, at):
        """The next card of somebody that is this pair, voted left; whether they got it."""
        cards = self.desk.cards(who, count=16, have=())
        prompt = self.filled.prompts[at].messages
        card = next((c for c in cards if c.messages == prompt), None)
        if card is not None:
            told = Submission(
                key=key(),
                presentation=card.presentation,
                choice=Choice.LEFT,
                strength=None,
                seconds=1,
            )
            self.desk.submit(who, told)
        return card is not None


@pytest.fixture
def room(tmp_path):
    made = Room(tmp_path)
    yield made
    made.store.close()


def test_the_most_disputed_case_comes_first_and_what_one_labeled_last(room):
    def order(who):
        return [
            (room.filled.pairs.index(room.bench.pair(c.pair_id)), c.kind, c.count.split)
            for c in shown(room.bench.cases(who), Show.OPEN)
        ]

    assert order("lead") == [
        (0, Kind.NO_MAJORITY, (1, 1, 1)),
        (5, Kind.NO_MAJORITY, (2, 1, 1)),
        (2, Kind.DISAGREEMENT, (1, 1)),
        (3, Kind.CONTESTED, (2, 1)),
        (1, Kind.FLAGGED, (2,)),
    ]
    assert [at for at, _, _ in order("jo")] == [0, 2, 3, 1, 5]


def test_a_decision_goes_before_the_votes_until_it_is_withdrawn(room):
    before = room.consensus(0)
    assert not before.settled
    room.view("jo", 0)
    room.decide("jo", 0, Verdict.SECOND)
    decided = room.consensus(0)
    assert (decided.verdict, decided.method) == (Verdict.SECOND, "adjudicated")
    assert decided.settled
    assert decided.closed
    assert [c.pair_id for c in room.settled] == [room.pair(0)]
    room.decide("jo", 0, Verdict.FIRST)
    assert room.consensus(0).verdict is Verdict.FIRST
    assert len(room.settled) == 1  # it was settled already
    room.bench.withdraw("jo", room.pair(0), key=key())
    after = room.consensus(0)
    assert (after.verdict, after.settled, after.method) == (None, False, before.method)
    trail = [(a.actor, a.action) for a in team.activities(room.store) if "case" in a.action]
    assert trail == [("jo", "case withdrawn"), ("jo", "case changed"), ("jo", "case decided")]


def test_a_case_that_cannot_be_decided_is_settled_without_a_verdict(room):
    room.view("jo", 0)
    room.decide("jo", 0, None)
    found = room.consensus(0)
    assert (found.verdict, found.settled, found.closed) == (None, True, True)


def test_no_more_votes_are_asked_for_and_a_late_one_changes_nothing(room):
    late = room.desk.cards("cyd", count=16, have=())  # cyd has a card of it already
    room.view("jo", 2)
    room.decide("jo", 2, Verdict.TIE)
    assert not room.vote("ann", 2)
    assert not room.vote("lead", 2)
    card = next(c for c in late if c.messages == room.filled.prompts[2].messages)
    told = Submission(
        key=key(), presentation=card.presentation, choice=Choice.LEFT, strength=None, seconds=1
    )
    room.desk.submit("cyd", told)
    found = room.consensus(2)
    assert (found.verdict, found.method, found.votes) == (Verdict.TIE, "adjudicated", 3)
    room.bench.withdraw("jo", room.pair(2), key=key())
    assert room.consensus(2).method != "adjudicated"
    assert room.consensus(2).votes == 3


def test_everything_is_there_after_a_restart(room):
    room.view("jo", 0, Choice.LEFT)
    room.bench.add_note("lead", room.pair(0), key=key(), text="Look at the formula.")
    decided = room.decide("jo", 0, Verdict.SECOND, note="Shorter.")
    told = len(room.settled)
    room.again()
    assert settle(room.store, CONFIG) == 0
    assert room.consensus(0).verdict is Verdict.SECOND
    again = room.bench.reveal("jo", room.pair(0))
    assert again == decided
    assert again.standing.note == "Shorter."
    assert [n.text for n in again.notes] == ["Look at the formula."]
    assert not room.vote("lead", 0)
    assert len(room.settled) == told
    with pytest.raises(ConflictError, match="Give your own view"):
        room.bench.reveal("lead", room.pair(0))


def test_the_votes_are_not_shown_before_the_own_view(room):
    pair = room.pair(0)
    for act in (
        lambda: room.bench.reveal("jo", pair),
        lambda: room.bench.withdraw("jo", pair, key=key()),
        lambda: room.bench.make_gold("jo", pair, use=GoldUse.HIDDEN),
        lambda: room.bench.make_example("jo", pair),
        lambda: room.bench.decide("jo", pair, key=key(), choice=None, cause=Cause.ERROR, note=""),
    ):
        with pytest.raises(ConflictError, match="Give your own view of this case first"):
            act()
    assert adjudications.events(room.store) == []
    with pytest.raises(InputError, match="There is no case"):
        room.bench.open("jo", "c1:nothing")


def test_an_own_view_is_given_once_and_a_retry_changes_nothing(room):
    def give(choice, *, name):
        return room.bench.give_view(
            "jo", room.pair(0), key=name, choice=choice, strength=None, note="", seconds=1
        )

    first = give(Choice.LEFT, name="key-one-one")
    assert give(Choice.RIGHT, name="key-one-one") == first
    with pytest.raises(ConflictError, match="own view of this case already"):
        give(Choice.RIGHT, name="key-two-two")
    assert len(adjudications.own_views(room.store)) == 1


def test_a_retried_decision_or_withdrawal_is_stored_once(room):
    room.view("jo", 0)
    for _ in range(2):
        room.bench.decide(
            "jo", room.pair(0), key="key-decide", choice=None, cause=Cause.ERROR, note=""
        )
    for _ in range(2):
        room.bench.withdraw("jo", room.pair(0), key="key-undo-it")
    assert [a.withdrawn for a in adjudications.events(room.store)] == [False, True]
    with pytest.raises(ConflictError, match="not decided"):
        room.bench.withdraw("jo", room.pair(0), key=key())
    room.bench.release("jo")
    room.view("lead", 0)
    with pytest.raises(ConflictError, match="key of another"):
        room.bench.decide(
            "lead", room.pair(0), key="key-decide", choice=None, cause=Cause.ERROR, note=""
        )


def test_two_adjudicators_do_not_decide_one_case_at_once(room):
    pair = room.pair(0)
    assert room.bench.open("jo", pair).held_by == ""
    assert room.bench.open("lead", pair).held_by == "jo"
    assert room.bench.holder(pair, "lead") == "jo"
    with pytest.raises(ConflictError, match="jo is at this case"):
        room.view("lead", 0)
    room.bench.open("jo", room.pair(3))
    room.view("lead", 0)
    room.bench.release("lead")
    room.view("jo", 0)
    assert len(adjudications.own_views(room.store)) == 2


def test_whoever_saw_the_votes_is_asked_for_none(room):
    """Neither for a first vote, nor may they change one they gave."""
    lead = room.desk.cards("lead", count=16, have=())
    card = next(c for c in lead if c.messages == room.filled.prompts[2].messages)
    room.view("lead", 2)
    told = Submission(
        key=key(), presentation=card.presentation, choice=Choice.LEFT, strength=None, seconds=1
    )
    with pytest.raises(ConflictError, match="You have seen others' votes"):
        room.desk.submit("lead", told)
    room.again()
    assert not room.vote("lead", 2)
    assert room.vote("cyd", 2)


def test_a_decided_case_becomes_gold_and_gold_of_a_changed_decision_is_retired(room):
    room.view("jo", 0)
    pair = room.pair(0)
    with pytest.raises(ConflictError, match="not decided"):
        room.bench.make_gold("jo", pair, use=GoldUse.HIDDEN)
    room.decide("jo", 0, Verdict.FIRST, note="It answers the question.")
    made = room.bench.make_gold("jo", pair, use=GoldUse.QUALIFICATION)
    assert (made.verdict, made.explanation) == (Verdict.FIRST, "It answers the question.")
    assert room.bench.make_gold("jo", pair, use=GoldUse.QUALIFICATION) == made
    assert room.bench.reveal("jo", pair).gold == made
    room.decide("jo", 0, Verdict.FIRST, cause=Cause.ERROR)  # the same verdict keeps it
    assert team.gold_by_pair(room.store)[made.pair_id].active
    room.decide("jo", 0, None)
    assert not team.gold_by_pair(room.store)[made.pair_id].active
    with pytest.raises(ConflictError, match="cannot be decided"):
        room.bench.make_gold("jo", pair, use=GoldUse.HIDDEN)
    assert room.bench.pair(pair).purpose is Purpose.TRAIN


def test_a_decided_case_becomes_an_example_in_the_guidelines(room):
    room.view("jo", 0)
    room.decide("jo", 0, Verdict.FIRST, note="It answers the question.")
    made = room.bench.make_example("jo", room.pair(0))
    assert room.bench.make_example("jo", room.pair(0)) == made
    assert "> It answers the question." in made.text
    assert room.desk.guideline == made.id
    room.decide("jo", 0, Verdict.TIE)
    changed = room.bench.make_example("jo", room.pair(0))
    assert changed.text.count("### Example") == 1
    assert "A tie" in changed.text


DECIDE_AND_DIE = """
import os, sys
from pathlib import Path
sys.path[:0] = ["tests"]
from test_bench import Room, Verdict
room = Room(Path(sys.argv[1]))
room.view("jo", 0)
room.decide("jo", 0, Verdict.SECOND)
os.kill(os.getpid(), 9)
"""


def test_what_was_answered_survives_a_kill_right_after(tmp_path):
    root = Path(__file__).parents[2]
    code = DECIDE_AND_DIE.replace('["tests"]', '["tests", "tests/annotate"]')
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=root, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    with open_store(tmp_path) as store:
        (decision,) = adjudications.standing(store).values()
        assert decision.verdict is Verdict.SECOND
        assert list(adjudications.own_views(store)) == [(decision.pair_id, "jo")]
        settle(store, CONFIG)
        assert consensus_of_pair(store, decision.pair_id).verdict is Verdict.SECOND
