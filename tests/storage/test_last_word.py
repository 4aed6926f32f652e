"""The latest word counts, whatever clocks, retries and several servers made of the rows."""

from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest
from factories import (
    add_person,
    make_judgment,
    make_pair,
    make_policy,
    make_prompt,
    make_response,
    open_store,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from storage import judgments as judging
from storage.records import Judgment, LabelerKind, Purpose, Verdict
from storage.tallies import tallies

PEOPLE = ("ann", "bob", "guest")  # the guest has no account
MODEL = "model/x"
_numbers = count()


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    with open_store(tmp_path_factory.mktemp("words"), hold=True) as store:
        for name in PEOPLE[:2]:
            add_person(store, name)
        person = judging.labelers(store)["ann"]
        store.append([replace(person, name=MODEL, kind=LabelerKind.MODEL, password_hash="")])
        yield store


# (who, revision, minute, verdict, withdrawn, minutes until it is sent again or None)
WORDS = st.lists(
    st.tuples(
        st.sampled_from([*PEOPLE, MODEL]),
        st.integers(0, 3),
        st.integers(0, 3),
        st.sampled_from(Verdict),
        st.booleans(),
        st.none() | st.integers(0, 3),
    ),
    max_size=12,
)


def fresh_pair(store):
    prompt, policy = make_prompt(f"Question {next(_numbers)}?"), make_policy()
    answers = [make_response(prompt, policy, "x", index=n) for n in range(2)]
    pair = make_pair(*answers)
    for rows in ([prompt], [policy], answers, [pair]):
        store.append(rows)
    return pair


def rows_of(pair, words):
    """Every row, those sent again included, in the order in which they arrive."""
    rows = []
    for number, (who, revision, minute, verdict, withdrawn, again) in enumerate(words):
        made = make_judgment(
            pair, who, verdict, revision=revision, minute=minute, withdrawn=withdrawn
        )
        made = replace(made, id=f"{(number * 7) % 13}-{pair.id}-{number}", strength=None)
        rows.append(made)
        if again is not None:
            rows.append(replace(made, created_at=made.created_at + timedelta(minutes=again)))
    return rows


# ---- what docs/architecture.md says, in plain Python ----------------------------------------


def order(word: Judgment):
    return word.revision, word.created_at, word.id


def events_among(rows):
    """By person: each judgment once, in the order of what they said."""
    first = {}
    for row in sorted(rows, key=lambda row: row.created_at):
        first.setdefault(row.id, row)
    return {
        who: sorted((e for e in first.values() if e.labeler == who), key=order)
        for who in {e.labeler for e in first.values()}
    }


def places_among(events):
    """(who, place) of each counting vote: people by when they began to have it, models apart."""
    began = {}
    for who, said in events.items():
        last = said[-1]
        if last.withdrawn or last.verdict is Verdict.SKIP:
            continue
        since = max((n + 1 for n, word in enumerate(said) if word.withdrawn), default=0)
        votes = [word.created_at for word in said[since:] if word.verdict is not Verdict.SKIP]
        began[who] = (min(votes), last.id)
    places = {}
    for kind in (PEOPLE, (MODEL,)):
        there = sorted((who for who in began if who in kind), key=began.__getitem__)
        places |= {who: place for place, who in enumerate(there, start=1)}
    return places


@settings(max_examples=30)
@given(WORDS)
@example([("ann", 0, 3, Verdict.FIRST, False, None), ("ann", 1, 0, Verdict.TIE, False, None)])
@example([("ann", 1, 1, Verdict.FIRST, False, 2), ("ann", 1, 1, Verdict.TIE, False, 0)])
@example(  # two servers: a withdrawal, and a change by somebody whose server had not heard of it
    [
        ("ann", 0, 0, Verdict.FIRST, False, None),
        ("ann", 1, 1, Verdict.FIRST, True, None),
        ("ann", 1, 2, Verdict.TIE, False, None),
    ]
)
@example(  # an undo of an undo, and a vote after it
    [
        ("bob", 0, 0, Verdict.SECOND, False, None),
        ("ann", 0, 0, Verdict.FIRST, False, None),
        ("ann", 1, 1, Verdict.FIRST, True, None),
        ("ann", 2, 2, Verdict.FIRST, True, None),
        ("ann", 3, 3, Verdict.SECOND, False, None),
    ]
)
def test_the_store_and_a_plain_model_count_the_same_words(stored, words):
    pair = fresh_pair(stored)
    rows = rows_of(pair, words)
    stored.append(rows)
    events = events_among(rows)

    present = {j.labeler: j for j in judging.judgments(stored) if j.pair_id == pair.id}
    assert present == {w: said[-1] for w, said in events.items() if not said[-1].withdrawn}

    every = [j for j in judging.judgment_events(stored) if j.pair_id == pair.id]
    assert sorted(every, key=order) == sorted(
        (e for said in events.values() for e in said), key=order
    )

    found = judging.votes(stored, purposes=list(Purpose)).to_pylist()
    mine = [row for row in found if row["pair_id"] == pair.id]
    assert {row["labeler"]: row["place"] for row in mine} == places_among(events)
    assert all(row["verdict"] == present[row["labeler"]].verdict.value for row in mine)

    tally = next(
        (t for t in tallies(stored, adjudicated=[]).to_pylist() if t["pair_id"] == pair.id), None
    )
    people = [j.verdict for who, j in present.items() if who in PEOPLE]
    said = sum(len(said) for who, said in events.items() if who in PEOPLE)
    assert (tally["events"] if tally else 0) == said
    for verdict in (Verdict.FIRST, Verdict.SECOND, Verdict.TIE, Verdict.BOTH_BAD):
        assert (tally[f"{verdict.value}_votes"] if tally else 0) == people.count(verdict)

    last = {w.labeler: w for w in judging.last_words(stored) if w.pair_id == pair.id}
    assert {who: (w.verdict, w.revision, w.withdrawn, w.events) for who, w in last.items()} == {
        who: (said[-1].verdict, said[-1].revision, said[-1].withdrawn, len(said))
        for who, said in events.items()
        if who in PEOPLE
    }
