"""The desk: what people see is blind, what they press is stored, and nothing is asked too often."""

import shutil
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from uuid import uuid4

import pytest
from factories import Filled, fill_store, open_store

from annotate import guidelines
from annotate.cards import Card, Choice, Submission, to_verdict
from annotate.config import AnnotateConfig
from annotate.desk import Desk
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
        return store.database, fill_store(store, pairs=12, labelers=(), admin=None)


@pytest.fixture
def filled(ready) -> Filled:
    return ready[1]


@pytest.fixture
def store(tmp_path, ready) -> Iterator[Store]:
    shutil.copy(ready[0], tmp_path)
    with open_store(tmp_path) as opened, opened.connected():
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
    assert [f.name for f in fields(Card)] == [
        "presentation",
        "messages",
        "left",
        "right",
        "qualification",
    ]
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


def test_a_reload_shows_the_same_cards_with_the_same_sides(desk):
    before = desk.cards("ann", count=3, have=())
    desk.cards("bob", count=3, have=())
    assert desk.cards("ann", count=3, have=()) == before
    more = desk.cards("ann", count=3, have=[c.presentation for c in before])
    assert not {c.presentation for c in more} & {c.presentation for c in before}


def test_what_was_shown_is_recorded_once_with_its_guideline(desk, store):
    version = guidelines.publish(store, "Be fair.", author="lead").id
    desk.refresh()
    cards = desk.cards("ann", count=3, have=())
    desk.cards("ann", count=3, have=())
    shown = presentations_of(store, "ann")
    assert [p.id for p in shown] == [c.presentation for c in cards]
    assert {p.guideline for p in shown} == {version}


def test_what_is_shown_cannot_be_told_by_its_name_without_the_seed(tmp_path):
    """A pair's id follows from the policies, settings and purpose, which somebody may guess."""
    named = []
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        with open_store(tmp_path / str(seed)) as store:
            fill_store(store)
            cards = Desk(store, AnnotateConfig(seed=seed)).cards("ann", count=99, have=())
            named.append({card.presentation for card in cards})
    assert len(named[0]) == len(named[1]) > 1
    assert not named[0] & named[1]


def test_a_retried_submission_is_stored_once(desk, store):
    card = next_card(desk, "ann")
    one = submission(card, Choice.LEFT, strength=Strength.CLEAR, rationale="so 🦆", flags=("x",))
    assert desk.submit("ann", one) == desk.submit("ann", one)
    (stored,) = judgment_events(store)
    assert (stored.id, stored.strength, stored.rationale) == (one.key, Strength.CLEAR, "so 🦆")
    assert stored.flags == ("x",)


def test_a_judgment_may_be_changed_and_the_last_word_counts(desk, store):
    card = press(desk, "ann", Choice.TIE)
    progress = desk.submit("ann", submission(card, Choice.SKIP)).progress
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
