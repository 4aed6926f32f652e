"""Two labeling servers on one store: each knows in time what the other did."""

import random
import time
from collections import defaultdict
from datetime import datetime, timedelta
from threading import Thread
from uuid import uuid4

import pytest
from desks import desk_of, submit, work
from factories import fill_store

import annotate.desk
import annotate.others
import storage.store
from annotate.cards import Choice, Standing
from annotate.consensus import majority
from storage.judgments import judgment_events, judgments
from storage.pairs import consensus_by_pair
from storage.records import Verdict
from storage.store import Store

pytestmark = pytest.mark.postgres


@pytest.fixture
def shared(lakes) -> Store:
    return Store(lakes.new(), hold=True)


def of_actor(store: Store, action: str) -> list[str]:
    rows = store.query("activities_newest", count=1000)
    return [str(row["actor"]) for row in rows if row["action"] == action]


def test_people_at_two_servers_give_every_pair_the_votes_it_needs_and_no_more(shared):
    filled = fill_store(shared, pairs=8, labelers=(), admin=None)
    desks = [desk_of(shared), desk_of(shared)]
    failures: list[BaseException] = []

    def label(who: str, desk) -> int:
        chance, said = random.Random(who), 0
        try:
            while cards := desk.cards(who, count=2, have=()):
                for card in cards:
                    submit(desk, who, card, chance.choice([Choice.LEFT, Choice.RIGHT]))
                    said += 1
        except BaseException as error:
            failures.append(error)
        return said

    people = [(f"labeler {i}", desks[i % 2]) for i in range(6)]
    threads = [Thread(target=label, args=person) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Those who left while others still held the last pairs come back until nothing is left, and each
    # server looks once more.
    while sum(label(who, desk) for who, desk in people):
        pass
    for person in people:
        label(*person)

    assert failures == []
    votes = defaultdict(list)
    for judgment in judgments(shared):
        votes[judgment.pair_id].append(judgment.verdict)
    for pair in filled.pairs:
        verdicts = votes[pair.id]
        assert len(verdicts) == (3 if majority(verdicts[:2]) is None else 2)
    for desk in desks:
        assert desk.queue_states()["extra_votes"] == 0
        assert desk.progress("labeler 0").settled == 8


def test_what_one_server_hands_out_the_other_keeps_back(shared):
    fill_store(shared, pairs=1, labelers=(), admin=None)
    one, other = desk_of(shared), desk_of(shared)
    assert [len(one.cards(who, count=1, have=())) for who in ("ann", "bob")] == [1, 1]
    hand = other.hand("cem", count=1, have=())
    assert (hand.cards, hand.standing) == ([], Standing.EMPTY)
    late = desk_of(shared)  # a third server, started meanwhile
    assert late.hand("cem", count=1, have=()).cards == []
    assert len(late.cards("ann", count=1, have=())) == 1  # her own, wherever she goes on


def test_of_two_servers_that_take_a_pair_at_once_the_first_to_say_so_keeps_it(shared, monkeypatch):
    """Neither looks of itself here: the showings' order in the store alone decides."""
    monkeypatch.setattr(annotate.others, "LOOK_SECONDS", 1000.0)
    fill_store(shared, pairs=6, labelers=(), admin=None)
    desks = [desk_of(shared, votes_per_pair=1) for _ in range(3)]
    for i, desk in enumerate(desks):
        desk.progress(f"person {i}")  # known there: no further look
    given: dict[int, list[str]] = {}

    def take(i: int) -> None:
        given[i] = [c.presentation for c in desks[i].cards(f"person {i}", count=6, have=())]

    threads = [Thread(target=take, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pairs = [desks[i]._floor.person(f"person {i}").pair_of[s] for i in given for s in given[i]]
    assert len(pairs) == len(set(pairs))
    for i in range(3):
        for card in desks[i].cards(f"person {i}", count=6, have=()):
            submit(desks[i], f"person {i}", card)
    assert len(judgments(shared)) == len({j.pair_id for j in judgments(shared)})


def test_a_labeler_may_go_on_at_another_server_in_the_middle_of_everything(shared):
    fill_store(shared, pairs=5, labelers=(), admin=None)
    one, other = desk_of(shared), desk_of(shared)
    first, second = one.cards("ann", count=2, have=())
    submit(one, "ann", first, key="k" * 32)
    submit(other, "ann", first, key="k" * 32)  # the answer to the first try was lost
    submit(other, "ann", second, Choice.TIE)
    assert one.undo("ann", key=uuid4().hex) == second
    assert len(judgment_events(shared)) == 3
    (third,) = one.cards("ann", count=1, have=())
    assert third == second
    submit(other, "ann", third, Choice.RIGHT)
    submit(one, "ann", third, Choice.LEFT)
    for desk in (one, other):
        found = desk.history("ann", count=9)
        assert found[0][0].pair_id == judgment_events(shared)[-1].pair_id
        assert desk.progress("ann").judged == 2
    # Within a second the servers may give two words the same number: the later one counts.
    words = [j for j in judgment_events(shared) if j.pair_id == found[0][0].pair_id]
    assert len(words) == 4
    assert words[-1] in judgments(shared)


def test_votes_that_two_servers_took_at_once_settle_their_pair(shared, monkeypatch):
    monkeypatch.setattr(annotate.others, "LOOK_SECONDS", 1000.0)
    (pair,) = fill_store(shared, pairs=1, labelers=(), admin=None).pairs
    one, other = desk_of(shared, show_own_agreement=True), desk_of(shared)
    cards = {
        who: desk.cards(who, count=1, have=())[0] for who, desk in (("ann", one), ("bob", other))
    }
    one.progress("ann")
    sides = {}
    for who, desk in (("ann", one), ("bob", other)):
        shown = desk._floor.person(who).shown[pair.id]
        sides[who] = Choice.LEFT if shown.first_side.value == "left" else Choice.RIGHT
        submit(desk, who, cards[who], sides[who])
    # Bob's server has not heard of Ann's vote, so no consensus counts both.
    assert consensus_by_pair(shared)[pair.id].votes == 1
    monkeypatch.setattr(annotate.others, "LOOK_SECONDS", 0.0)
    for _ in range(2):
        assert one.progress("ann").pairs == 1
    found = consensus_by_pair(shared)[pair.id]
    assert (found.votes, found.events, found.settled, found.verdict) == (2, 2, True, Verdict.FIRST)
    assert one.progress("ann").settled == 1


def test_a_vote_too_many_counts_and_is_noted_once_by_the_server_it_came_to(shared, monkeypatch):
    """Both were given the pair rightly; ann's lease ended, and neither server had heard of the other."""
    fill_store(shared, pairs=1, labelers=(), admin=None)
    one = desk_of(shared, votes_per_pair=1, lease_seconds=0.2)
    (hers,) = one.cards("ann", count=1, have=())
    time.sleep(0.3)
    other = desk_of(shared, votes_per_pair=1, lease_seconds=0.2)
    (his,) = other.cards("bob", count=1, have=())
    monkeypatch.setattr(annotate.others, "LOOK_SECONDS", 1000.0)
    submit(one, "ann", hers)
    submit(other, "bob", his)
    monkeypatch.setattr(annotate.others, "LOOK_SECONDS", 0.0)
    for _ in range(2):
        for who, desk in (("ann", one), ("bob", other)):
            desk.progress(who)
    assert len(judgments(shared)) == 2
    assert of_actor(shared, "extra vote") == ["bob"]
    assert {desk.queue_states()["extra_votes"] for desk in (one, other)} == {1}


def test_news_of_pairs_settings_and_judgments_reach_every_server(shared):
    fill_store(shared, pairs=3, labelers=(), admin=None)
    one, other = desk_of(shared), desk_of(shared)
    work(one, "ann", 3)
    time.sleep(annotate.others.LOOK_SECONDS)
    assert other.queue_states()["begun"] == 3
    assert other.judged_by("ann") == one.judged_by("ann")
    assert other.progress("ann").judged == 3
    here, there = (
        [(said, shown.id, shown.first_side, words) for said, shown, words in found]
        for found in (one.history("ann", count=9), other.history("ann", count=9))
    )
    assert there == here


@pytest.mark.parametrize("later", ["LEFT", "RIGHT"])
def test_a_server_that_starts_afterwards_counts_the_later_of_two_words_with_one_number(
    shared, monkeypatch, later
):
    monkeypatch.setattr(annotate.others, "LOOK_SECONDS", 1000.0)
    fill_store(shared, pairs=1, labelers=(), admin=None)
    one, other = desk_of(shared), desk_of(shared)
    (card,) = one.cards("ann", count=1, have=())
    assert other.cards("ann", count=1, have=()) == [card]
    submit(one, "ann", card, Choice.LEFT)
    if later == "LEFT":  # the other machine's clock is behind, so that what came last is earlier

        class Behind(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime.now(tz) - timedelta(hours=1)

        monkeypatch.setattr(storage.store, "datetime", Behind)
    submit(other, "ann", card, Choice.RIGHT)
    assert [j.revision for j in judgment_events(shared)] == [0, 0]
    (counts,) = judgments(shared)
    new = desk_of(shared)
    for desk in (new, one, other):
        ((found, _, _),) = desk.history("ann", count=9)
        assert found == counts
        assert desk.queue_states()["votes"] == 1
    said = {j.id: j.verdict for j in judgment_events(shared)}
    assert len(set(said.values())) == 2
    monkeypatch.undo()
    submit(new, "ann", card, Choice.TIE)
    assert [j.verdict for j in judgments(shared)] == [Verdict.TIE]


def test_what_is_said_while_a_server_gets_to_know_somebody_counts_once_there(shared, monkeypatch):
    monkeypatch.setattr(annotate.others, "LOOK_SECONDS", 0.0)
    fill_store(shared, pairs=3, labelers=(), admin=None)
    one, other = desk_of(shared), desk_of(shared)
    work(one, "ann", 1)
    read = annotate.desk.judging.presentations_of

    def read_meanwhile(store, labeler):
        monkeypatch.undo()
        work(one, "ann", 1)
        return read(store, labeler)

    monkeypatch.setattr(annotate.desk.judging, "presentations_of", read_meanwhile)
    other.progress("ann")
    assert [j.pair_id for j, _, _ in other.history("ann", count=9)] == [
        j.pair_id for j, _, _ in one.history("ann", count=9)
    ]
    assert (other.progress("ann").judged, other.queue_states()["votes"]) == (2, 2)
    one.undo("ann", key=uuid4().hex)
    assert len(other.history("ann", count=9)) == 1
