"""The desk: what people see is blind, what they press is stored, and nothing is asked too often."""

import random
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from threading import Thread
from uuid import uuid4

import pytest
from factories import Filled, fill_store, open_store

import annotate.desk
from annotate.config import AnnotateConfig
from annotate.consensus import majority
from annotate.desk import Card, Choice, Desk, Submission, to_verdict
from storage.errors import ConflictError, InputError
from storage.judgments import judgment_events, judgments, presentations_of
from storage.pairs import consensus_by_pair
from storage.records import Side, Strength, Verdict
from storage.store import Store

ROOT = Path(__file__).parents[2]
CONFIG = AnnotateConfig()


@pytest.fixture(scope="module")
def ready(tmp_path_factory) -> tuple[Path, Filled]:
    """A database with twelve pairs, to be copied."""
    folder = tmp_path_factory.mktemp("ready")
    with open_store(folder) as store, store.connected():
        return store.database, fill_store(store, pairs=12, labelers=())


@pytest.fixture
def filled(ready) -> Filled:
    return ready[1]


@pytest.fixture
def store(tmp_path, ready) -> Iterator[Store]:
    shutil.copy(ready[0], tmp_path)
    with open_store(tmp_path) as opened, opened.connected():
        yield opened


@pytest.fixture
def held(tmp_path, ready) -> Iterator[Store]:
    """As the labeling server has it: for many threads, and served to other processes."""
    shutil.copy(ready[0], tmp_path)
    with open_store(tmp_path, hold=True) as opened:
        yield opened


@pytest.fixture
def desk(store) -> Desk:
    return Desk(store, CONFIG)


def next_card(desk: Desk, who: str) -> Card:
    return desk.cards(who, count=1, have=())[0]


def submission(card: Card, choice: Choice, **changes) -> Submission:
    values = {"key": uuid4().hex, "strength": None, "seconds": 2.0} | changes
    return Submission(presentation=card.presentation, choice=choice, **values)


def press(desk: Desk, who: str, choice: Choice, **changes) -> Card:
    """Judge the next card."""
    card = next_card(desk, who)
    desk.submit(who, submission(card, choice, **changes))
    return card


def test_a_card_is_blind(desk, store, filled):
    """The conversation, two texts and an opaque handle; no policy, settings, order or votes."""
    assert [f.name for f in fields(Card)] == ["presentation", "messages", "left", "right"]
    texts = {
        p.id: {r.text for r in filled.responses if r.prompt_id == p.id} for p in filled.prompts
    }
    ids = [x.id for x in (filled.policy, *filled.prompts, *filled.pairs, *filled.responses)]
    cards = desk.cards("ann", count=20, have=())
    assert len(cards) == 12
    for card in cards:
        prompt = next(p for p in filled.prompts if p.messages == card.messages)
        assert {card.left, card.right} == texts[prompt.id]
        assert not any(i in card.presentation or i.split(":")[1] in card.presentation for i in ids)
    assert len({c.presentation for c in cards}) == 12


@pytest.mark.parametrize("choice", Choice)
def test_the_text_a_person_picked_is_the_text_of_the_stored_winner(desk, store, filled, choice):
    """Over enough cards that both sides occur, for two people."""
    text = {r.id: r.text for r in filled.responses}
    pairs = {p.id: p for p in filled.pairs}
    picked = {}
    for who in ("ann", "bob"):
        for card in desk.cards(who, count=12, have=()):
            key = uuid4().hex
            desk.submit(who, submission(card, choice, key=key))
            picked[key] = {Choice.LEFT: card.left, Choice.RIGHT: card.right}.get(choice)
    stored = judgments(store)
    assert len(stored) == 24
    if choice in (Choice.LEFT, Choice.RIGHT):
        assert {j.verdict for j in stored} == {Verdict.FIRST, Verdict.SECOND}
    for judgment in stored:
        pair = pairs[judgment.pair_id]
        winner = {Verdict.FIRST: text[pair.first], Verdict.SECOND: text[pair.second]}
        assert winner.get(judgment.verdict) == picked[judgment.id]
        assert picked[judgment.id] or judgment.verdict.value == choice.value


def test_left_and_right_mean_the_first_and_second_response_by_the_side_it_stood_on():
    assert {(c, s): to_verdict(c, s) for c in Choice for s in Side} == {
        (Choice.LEFT, Side.LEFT): Verdict.FIRST,
        (Choice.RIGHT, Side.LEFT): Verdict.SECOND,
        (Choice.LEFT, Side.RIGHT): Verdict.SECOND,
        (Choice.RIGHT, Side.RIGHT): Verdict.FIRST,
        **{(Choice.TIE, s): Verdict.TIE for s in Side},
        **{(Choice.BOTH_BAD, s): Verdict.BOTH_BAD for s in Side},
        **{(Choice.SKIP, s): Verdict.SKIP for s in Side},
    }


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


def test_a_reload_shows_the_same_cards_with_the_same_sides(desk):
    before = desk.cards("ann", count=3, have=())
    desk.cards("bob", count=3, have=())
    assert desk.cards("ann", count=3, have=()) == before
    more = desk.cards("ann", count=3, have=[c.presentation for c in before])
    assert not {c.presentation for c in more} & {c.presentation for c in before}


def test_what_was_shown_is_recorded_once_with_its_guideline(desk, store):
    desk.show_guideline("g1:abc")
    cards = desk.cards("ann", count=3, have=())
    desk.cards("ann", count=3, have=())
    shown = presentations_of(store, "ann")
    assert [p.id for p in shown] == [c.presentation for c in cards]
    assert {p.guideline for p in shown} == {"g1:abc"}


def test_a_retried_submission_is_stored_once(desk, store):
    card = next_card(desk, "ann")
    one = submission(card, Choice.LEFT, strength=Strength.CLEAR, rationale="so 🦆", flags=("x",))
    assert desk.submit("ann", one) == desk.submit("ann", one)
    (stored,) = judgment_events(store)
    assert (stored.id, stored.strength, stored.rationale) == (one.key, Strength.CLEAR, "so 🦆")
    assert stored.flags == ("x",)


def test_a_judgment_may_be_changed_and_the_last_word_counts(desk, store):
    card = press(desk, "ann", Choice.TIE)
    progress = desk.submit("ann", submission(card, Choice.SKIP))
    assert (progress.judged, progress.skipped) == (0, 1)
    assert [j.verdict for j in judgments(store)] == [Verdict.SKIP]
    assert [j.revision for j in judgment_events(store)] == [0, 1]


def test_another_persons_card_and_an_unknown_one_are_refused(desk, store):
    card = next_card(desk, "ann")
    unknown = Card(presentation="s1:x", messages=(), left="", right="")
    with pytest.raises(ConflictError, match="not shown to you"):
        desk.submit("bob", submission(card, Choice.LEFT))
    with pytest.raises(ConflictError, match="not shown to you"):
        desk.submit("ann", submission(unknown, Choice.TIE))
    assert judgment_events(store) == []


def test_a_key_used_for_another_pair_is_refused_rather_than_acknowledged(desk, store):
    key = uuid4().hex
    press(desk, "ann", Choice.LEFT, key=key)
    for who in ("ann", "bob"):
        with pytest.raises(ConflictError, match="with the key of another"):
            press(desk, who, Choice.LEFT, key=key)
    assert len(judgment_events(store)) == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"key": "short"}, "8 to 64 characters"),
        ({"key": "x" * 65}, "8 to 64 characters"),
        ({"strength": Strength.SLIGHT}, "strength goes with left or right"),
        ({"seconds": float("nan")}, "seconds must be between"),
        ({"seconds": -1.0}, "seconds must be between"),
        ({"seconds": 1e9}, "seconds must be between"),
        ({"rationale": "x" * 20_001}, "longer than 20000"),
        ({"rationale": "\ud800"}, "half of a surrogate pair"),
        ({"flags": ("\ud800",)}, "half of a surrogate pair"),
    ],
)
def test_what_is_no_judgment_is_refused(desk, store, changes, says):
    card = next_card(desk, "ann")
    with pytest.raises(InputError, match=says):
        desk.submit("ann", submission(card, Choice.TIE, **changes))
    assert judgment_events(store) == []
    assert next_card(desk, "ann") == card


def test_undo_gives_the_same_card_back_and_opens_the_pair_again(desk, store):
    press(desk, "ann", Choice.LEFT)
    card = press(desk, "ann", Choice.TIE)
    before = desk.progress("ann")
    assert desk.undo("ann", key=uuid4().hex) == card
    assert len(judgments(store)) == 1
    after = desk.progress("ann")
    assert (after.judged, after.left) == (before.judged - 1, before.left + 1)
    assert next_card(desk, "ann") == card
    desk.submit("ann", submission(card, Choice.RIGHT))
    assert [j.revision for j in judgment_events(store)] == [0, 0, 1, 2]


def test_undo_takes_a_settled_pair_back_out_of_the_settled_ones(desk, store):
    first = press(desk, "ann", Choice.TIE)
    while press(desk, "bob", Choice.TIE).messages != first.messages:
        pass
    assert desk.progress("ann").settled == 1
    desk.undo("ann", key=uuid4().hex)
    assert desk.progress("ann").settled == 0
    assert not any(c.settled for c in consensus_by_pair(store).values())


def test_a_retried_undo_takes_back_one_judgment_and_gives_the_same_card(desk, store):
    cards = [press(desk, "ann", Choice.LEFT) for _ in range(2)]
    key = uuid4().hex
    assert desk.undo("ann", key=key) == desk.undo("ann", key=key) == cards[1]
    assert len(judgments(store)) == 1
    assert desk.undo("ann", key=(key := uuid4().hex)) == cards[0]
    assert desk.undo("ann", key=key) == cards[0]
    assert desk.undo("ann", key=uuid4().hex) is None
    assert desk.undo("bob", key=uuid4().hex) is None


def test_a_new_desk_on_the_same_store_goes_on_where_the_last_one_was(desk, store):
    chance = random.Random(0)
    for who in ("ann", "bob", "cem") * 4:
        press(desk, who, chance.choice([*Choice]))
    desk.undo("bob", key=uuid4().hex)
    last = press(desk, "ann", Choice.LEFT, key="k" * 32)
    desk.submit("bob", submission(next_card(desk, "bob"), Choice.TIE))
    again = Desk(store, CONFIG)
    for who in ("ann", "bob", "cem", "dee"):
        assert again.progress(who) == desk.progress(who)
    again.submit("ann", submission(last, Choice.LEFT, key="k" * 32))
    assert len(judgment_events(store)) == 15
    assert again.cards("dee", count=20, have=()) == desk.cards("dee", count=20, have=())
    assert again.undo("ann", key=uuid4().hex) == last


def test_pairs_that_another_command_appends_show_up_while_the_desk_is_open(held, monkeypatch):
    monkeypatch.setattr(annotate.desk, "LOOK_SECONDS", 0.0)
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
