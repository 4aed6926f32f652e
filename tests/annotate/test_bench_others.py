"""Adjudicators at two labeling servers on one store: one case for each, and one story of it."""

from itertools import count
from threading import Thread

import pytest
from desks import Clock, desk_of, submit
from disputed import fill_disputed
from serving import wait_for

import annotate.bench
from annotate.bench import Bench
from annotate.cards import Choice, to_choice
from storage.adjudication_records import Cause
from storage.errors import ConflictError
from storage.pairs import consensus_of_pair
from storage.records import Verdict
from storage.store import Store

pytestmark = pytest.mark.postgres
number = count()


class Place:
    """A labeling server: a desk and its bench. jo and lead adjudicate."""

    def __init__(self, store, **config):
        self.desk = desk_of(store, **config)
        self.bench = Bench(store, self.desk)

    def open(self, who, pair):
        return self.bench.open(who, pair)

    def view(self, who, pair, choice=Choice.TIE):
        return self.bench.give_view(
            who, pair, key=key(), choice=choice, strength=None, note="", seconds=2.0
        )

    def decide(self, who, pair, verdict):
        side = self.bench.reveal(who, pair).first_side
        return self.bench.decide(
            who, pair, key=key(), choice=to_choice(verdict, side), cause=Cause.STYLE, note=""
        )

    def standing(self, pair):
        (case,) = [c for c in self.bench.cases("lead") if c.pair_id == pair]
        return case.adjudication


def key():
    return f"key-{next(number):08}"


@pytest.fixture(scope="module")
def both(lakes):
    """Two servers on a new store, and its pairs: the first six are disputed, and each test has its own."""
    store = Store(lakes.new(), hold=True)
    pairs = [pair.id for pair in fill_disputed(store).pairs]
    return store, Place(store), Place(store), pairs


def test_a_case_that_one_has_opened_is_held_on_every_server(both, monkeypatch):
    clock = Clock(monkeypatch, "docket")
    _, one, other, pairs = both
    assert one.open("jo", pairs[0]).held_by == ""
    assert other.open("lead", pairs[0]).held_by == "jo"
    with pytest.raises(ConflictError, match="jo is at this case"):
        other.view("lead", pairs[0])
    assert other.bench.holder(pairs[0], "jo") == ""  # her own, wherever she goes on
    assert one.open("jo", pairs[2]).held_by == ""  # the next case lets the first one go
    assert other.open("lead", pairs[0]).held_by == ""
    assert one.open("jo", pairs[0]).held_by == "lead"
    other.bench.release("lead")
    assert one.open("jo", pairs[0]).held_by == ""
    clock.seconds = 899
    assert other.open("lead", pairs[0]).held_by == "jo"
    clock.seconds = 901
    assert other.open("lead", pairs[0]).held_by == ""


def test_of_two_who_open_a_case_at_once_one_has_it(both):
    _, one, other, pairs = both
    for pair in (pairs[1], pairs[3]):
        held = {}
        threads = [
            Thread(target=lambda p=p, w=w: held.update({w: p.open(w, pair).held_by}))  # noqa: B023
            for w, p in (("jo", one), ("lead", other))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(held.values()) in (["", "jo"], ["", "lead"])


def test_what_was_seen_said_and_decided_elsewhere_is_known_here(both, monkeypatch):
    monkeypatch.setattr(annotate.bench, "KEPT_SECONDS", 0.0)
    store, one, other, pairs = both
    case = pairs[5]
    other.bench.cases("lead")
    one.view("jo", case)
    one.decide("jo", case, Verdict.SECOND)
    one.bench.add_note("jo", case, key=key(), text="Both are right.")
    one.bench.release("jo")
    assert other.standing(case).verdict is Verdict.SECOND
    seen = other.view("lead", case)
    assert [v.adjudicator for v in seen.views] == ["jo", "lead"]
    assert [n.text for n in seen.notes] == ["Both are right."]
    assert seen.standing.adjudicator == "jo"
    changed = other.decide("lead", case, Verdict.TIE)
    assert [d.revision for d in changed.decisions] == [0, 1]
    other.bench.release("lead")
    withdrawn = one.bench.withdraw("jo", case, key=key())
    assert [d.revision for d in withdrawn.decisions] == [0, 1, 2]
    assert withdrawn.standing is None
    with pytest.raises(ConflictError, match="own view of this case already"):
        other.view("jo", case)
    found = consensus_of_pair(store, case)
    assert (found.settled, found.votes, found.verdict) == (False, 4, None)


def test_a_decision_counts_the_votes_that_came_to_another_server(both):
    store, one, other, pairs = both
    shown = one.desk.cards("dee", count=16, have=())
    assert shown
    for card in shown:
        submit(one.desk, "dee", card)
    voted = next(p for p in pairs[6:] if p in one.desk.judged_by("dee"))
    votes = consensus_of_pair(store, voted)
    other.view("lead", voted)
    other.decide("lead", voted, Verdict.SECOND)
    found = consensus_of_pair(store, voted)
    assert (found.method, found.votes, found.events) == (
        "adjudicated",
        votes.votes,
        votes.events,
    )
    wait_for(lambda: one.desk.queue_states() == other.desk.queue_states())
