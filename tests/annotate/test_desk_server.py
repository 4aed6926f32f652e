"""The desk in a labeling server: many people at once, other commands beside it, and restarts."""

import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread, Timer
from uuid import uuid4

import pytest
from factories import Filled, fill_store, open_store

import annotate.floor
from annotate.cards import Card, Choice, Standing, Submission
from annotate.config import AnnotateConfig
from annotate.consensus import majority
from annotate.desk import Desk
from storage.errors import ConflictError
from storage.judgments import judgment_events, judgments
from storage.pairs import consensus_by_pair
from storage.records import Pair, Verdict
from storage.store import Store

ROOT = Path(__file__).parents[2]
CONFIG = AnnotateConfig()


@pytest.fixture
def held(tmp_path) -> Iterator[Store]:
    """As the labeling server has it: for many threads, and served to other processes."""
    with open_store(tmp_path, hold=True) as opened:
        yield opened


@pytest.fixture
def filled(held) -> Filled:
    return fill_store(held, pairs=12, labelers=(), admin=None)


def submission(card: Card, choice: Choice, *, key: str = "") -> Submission:
    return Submission(
        key=key or uuid4().hex,
        presentation=card.presentation,
        choice=choice,
        strength=None,
        seconds=2.0,
    )


def press(desk: Desk, who: str, choice: Choice, *, key: str = "") -> Card:
    """Judge the next card."""
    (card,) = desk.cards(who, count=1, have=())
    desk.submit(who, submission(card, choice, key=key))
    return card


def test_twenty_people_at_once_give_every_pair_the_votes_it_needs_and_no_more(held, filled):
    desk = Desk(held, CONFIG)
    failures: list[BaseException] = []

    def work(who: str) -> None:
        chance = random.Random(who)
        try:
            while cards := desk.cards(who, count=chance.randint(1, 2), have=()):
                for card in cards:
                    desk.submit(who, submission(card, chance.choice([*Choice, Choice.LEFT])))
        except BaseException as error:
            failures.append(error)

    people = [f"labeler {i}" for i in range(20)]
    threads = [Thread(target=work, args=(who,)) for who in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for who in people:  # those who left while others still held the last pairs come back
        work(who)

    assert failures == []
    stored = judgments(held)
    assert len({(j.pair_id, j.labeler) for j in stored}) == len(judgment_events(held))
    votes = defaultdict(list)
    for judgment in stored:
        if judgment.verdict is not Verdict.SKIP:
            votes[judgment.pair_id].append(judgment.verdict)
    known = consensus_by_pair(held)
    for pair in filled.pairs:
        verdicts = votes[pair.id]
        assert len(verdicts) == (3 if majority(verdicts[:2]) is None else 2)
        assert known[pair.id].closed
        assert (known[pair.id].verdict, known[pair.id].votes) == (majority(verdicts), len(verdicts))


def test_a_new_desk_on_the_same_store_goes_on_where_the_last_one_was(held, filled):
    desk = Desk(held, CONFIG)
    chance = random.Random(0)
    for who in ("ann", "bob", "cem") * 4:
        press(desk, who, chance.choice([*Choice]))
    desk.undo("bob", key=uuid4().hex)
    last = press(desk, "ann", Choice.LEFT, key="k" * 32)
    press(desk, "bob", Choice.TIE)
    again = Desk(held, CONFIG)
    for who in ("ann", "bob", "cem", "dee"):
        assert again.progress(who) == desk.progress(who)
    again.submit("ann", submission(last, Choice.LEFT, key="k" * 32))
    assert len(judgment_events(held)) == 15
    assert again.cards("dee", count=20, have=()) == desk.cards("dee", count=20, have=())
    assert again.undo("ann", key=uuid4().hex) == last


def test_a_new_desk_counts_as_one_that_took_every_judgment_itself(held, filled):
    desk = Desk(held, CONFIG)
    chance = random.Random(1)
    cards = {}
    for who in ("ann", "bob", "cem", "dee") * 5:
        cards[who] = press(desk, who, chance.choice([*Choice]))
    for who in ("ann", "bob"):
        desk.submit(who, submission(cards[who], Choice.BOTH_BAD))
    for who in ("bob", "cem"):
        desk.undo(who, key=uuid4().hex)
    desk.submit("cem", submission(cards["cem"], Choice.SKIP))
    for who in cards:
        desk.release(who, have=[c.presentation for c in desk.cards(who, count=1, have=())])
    again = Desk(held, CONFIG)
    assert again.queue_states() == desk.queue_states()
    for pair in filled.pairs:
        old, new = (one._floor.queue for one in (desk, again))
        assert new.present(pair.id) == old.present(pair.id)
        for who in cards:
            assert new.next_revision(pair.id, who) == old.next_revision(pair.id, who)


def test_a_key_of_somebody_before_a_restart_is_refused(held, filled):
    key = "k" * 32
    press(Desk(held, CONFIG), "ann", Choice.LEFT, key=key)
    again = Desk(held, CONFIG)
    (card,) = again.cards("bob", count=1, have=())
    with pytest.raises(ConflictError, match="key of another person"):
        again.submit("bob", submission(card, Choice.RIGHT, key=key))
    assert len(judgment_events(held)) == 1


@pytest.mark.usefixtures("filled")
def test_pairs_that_another_command_appends_show_up_while_the_desk_is_open(held, monkeypatch):
    monkeypatch.setattr(annotate.floor, "LOOK_SECONDS", 0.0)
    desk = Desk(held, CONFIG)
    assert desk.progress("ann").pairs == 12
    code = """
import sys
from pathlib import Path
sys.path.insert(0, "tests")
from factories import make_pair, make_policy, make_prompt, make_response
from storage.store import Store
store, prompt = Store(Path(sys.argv[1])), make_prompt("A late question")
answers = [make_response(prompt, make_policy(), f"late {i}", index=i) for i in range(2)]
for rows in ([prompt], answers, [make_pair(*answers)]):
    store.append(rows)
"""
    subprocess.run([sys.executable, "-c", code, str(held.database)], cwd=ROOT, check=True)
    assert desk.progress("ann").pairs == 13
    cards = desk.cards("ann", count=20, have=())
    assert "A late question" in {c.messages[0].content for c in cards}


def test_nobody_is_told_that_nothing_is_left_while_new_pairs_are_being_read(held, monkeypatch):
    desk = Desk(held, CONFIG)
    assert desk.hand("ann", count=1, have=()).standing is Standing.EMPTY
    fill_store(held, pairs=12, labelers=(), admin=None)
    reading, go_on = Event(), Event()
    slow = annotate.floor.pairing.pairs_beyond

    def pairs(store: Store, known: Callable[[str], bool]) -> list[Pair]:
        reading.set()
        go_on.wait(10)
        return slow(store, known)

    monkeypatch.setattr(annotate.floor.pairing, "pairs_beyond", pairs)
    given: dict[str, int] = {}
    people = [
        Thread(target=lambda who=who: given.update({who: len(desk.cards(who, count=4, have=()))}))
        for who in ("ann", "bob", "cleo")
    ]
    people[0].start()
    assert reading.wait(10)
    for late in people[1:]:
        late.start()
    Timer(0.3, go_on.set).start()
    for person in people:
        person.join(20)

    assert given == {"ann": 4, "bob": 4, "cleo": 4}
