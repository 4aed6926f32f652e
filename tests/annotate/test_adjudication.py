"""Which pairs are cases and in what order, and who is at which."""

from dataclasses import replace

import pytest
from factories import NOW, make_adjudication
from hypothesis import given
from hypothesis import strategies as st

from annotate.adjudication import (
    Kind,
    Leases,
    Show,
    cases_of,
    dispute_of,
    for_person,
    kind_of,
    shown,
    tally,
)
from storage.adjudications import VoteCount
from storage.records import Purpose, Verdict


def count(
    pair_id="c1:x",
    *votes,
    flags=0,
    doubted=False,
    settled=False,
    closed=True,
    purpose=Purpose.TRAIN,
):
    first, second, tie, both_bad = [*votes, 0, 0, 0, 0][:4]
    return VoteCount(
        pair_id=pair_id,
        purpose=purpose,
        round=0,
        first=first,
        second=second,
        tie=tie,
        both_bad=both_bad,
        flags=flags,
        doubted=doubted,
        settled=settled,
        closed=closed or settled,
        last_at=NOW,
        excerpt="What is tea?",
    )


def decision(pair_id, **changes):
    values = {"id": f"a:{pair_id}", "adjudicator": "jo", "verdict": Verdict.TIE}
    return make_adjudication(pair_id, **values | changes)


some = st.integers(0, 5)
counts = st.builds(
    lambda number, votes, **more: count(f"c1:{number}", *votes, **more),
    st.integers(0, 10**6),
    st.tuples(some, some, some, some),
    flags=st.integers(0, 2),
    settled=st.booleans(),
    closed=st.booleans(),
    purpose=st.sampled_from([Purpose.TRAIN, Purpose.EVALUATION]),
)
many = st.lists(counts, max_size=20, unique_by=lambda c: c.pair_id)


def test_dispute_is_the_entropy_of_the_votes():
    """In units of four even verdicts: ln 2 / ln 4 for one against one."""
    assert dispute_of((3,)) == 0
    assert dispute_of((1, 1)) == pytest.approx(0.5)
    assert dispute_of((1, 1, 1, 1)) == pytest.approx(1)
    # 2 : 1 has (2/3) ln(3/2) + (1/3) ln 3 = 0.636514 nats (Shannon 1948, theorem 2).
    assert dispute_of((2, 1)) == pytest.approx(0.6365141682948128 / 1.3862943611198906, abs=1e-12)


def test_undecided_pairs_come_before_settled_ones_and_more_disputed_ones_first():
    listed = [
        count("c1:alike", 3, settled=True),
        count("c1:flagged", 3, settled=True, flags=1),
        count("c1:contested", 2, 1, settled=True),
        count("c1:open", 1, 1, closed=False),
        count("c1:apart", 1, 1),
        count("c1:tied", 1, 0, 1),
        count("c1:three ways", 1, 1, 1),
    ]
    assert [(c.pair_id, c.kind) for c in cases_of(listed, {})] == [
        ("c1:three ways", Kind.NO_MAJORITY),
        ("c1:apart", Kind.NO_MAJORITY),
        ("c1:tied", Kind.NO_MAJORITY),
        ("c1:open", Kind.DISAGREEMENT),
        ("c1:contested", Kind.CONTESTED),
        ("c1:flagged", Kind.FLAGGED),
    ]


@given(many, st.randoms())
def test_the_order_does_not_depend_on_how_the_pairs_come(listed, chance):
    shuffled = [*listed]
    chance.shuffle(shuffled)
    assert cases_of(shuffled, {}) == cases_of(listed, {})


@given(counts)
def test_which_answer_is_first_and_what_a_pair_is_for_changes_nothing(one):
    swapped = replace(one, first=one.second, second=one.first)
    other = replace(one, purpose=Purpose.EVALUATION)
    for same in (swapped, other):
        assert same.split == one.split
        assert [(c.kind, c.dispute) for c in cases_of([same], {})] == [
            (c.kind, c.dispute) for c in cases_of([one], {})
        ]


@given(counts)
def test_dispute_lies_between_nothing_and_one_and_is_nothing_only_when_all_agree(one):
    if one.split:
        dispute = dispute_of(one.split)
        assert 0 <= dispute <= 1 + 1e-12
        assert (dispute == 0) == (len(one.split) == 1)


@given(many, st.sets(st.integers(0, 19)))
def test_what_somebody_labeled_themselves_comes_last_and_nothing_is_lost(listed, own):
    cases = cases_of(listed, {})
    labeled = {c.pair_id for i, c in enumerate(cases) if i in own}
    mine = for_person(cases, labeled=labeled)
    others = [c for c in cases if c.pair_id not in labeled]
    assert mine == others + [c for c in cases if c.pair_id in labeled]


@given(many, st.sets(st.integers(0, 19)))
def test_every_case_is_either_open_or_done_and_the_counts_are_those_of_the_lists(listed, done):
    decided = {c.pair_id: decision(c.pair_id) for i, c in enumerate(listed) if i in done}
    cases = cases_of(listed, decided)
    parts = {show: shown(cases, show) for show in Show}
    assert {show: len(part) for show, part in parts.items()} == tally(cases)
    assert len(parts[Show.OPEN]) + len(parts[Show.DONE]) == len(cases)
    assert {c.pair_id for c in parts[Show.DONE]} == decided.keys()
    assert not any(c.pair_id in decided for c in parts[Show.OPEN])


def test_a_decided_pair_keeps_the_kind_that_its_votes_give_it():
    """Its consensus is the decision's now."""
    split, contested = count("c1:x", 1, 1, settled=True), count("c1:x", 2, 1, settled=True)
    assert kind_of(split, decided=True) is Kind.NO_MAJORITY
    assert kind_of(contested, decided=True) is Kind.CONTESTED
    assert kind_of(count("c1:x", 2, settled=True), decided=True) is None


def test_two_adjudicators_are_never_at_the_same_case():
    leases = Leases(seconds=10)
    assert leases.take("c1:x", "jo", now=0)
    assert not leases.take("c1:x", "lead", now=9)
    assert leases.holder("c1:x", now=9) == "jo"
    assert leases.take("c1:x", "jo", now=9)  # going on renews it
    assert not leases.take("c1:x", "lead", now=18)
    assert leases.take("c1:y", "jo", now=18)  # and another case lets this one go
    assert leases.take("c1:x", "lead", now=18)
    assert leases.take("c1:y", "lead", now=28)  # what was left lying is free after a while
    leases.release("lead")
    assert leases.holder("c1:y", now=28) == ""
