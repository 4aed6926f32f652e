"""What agreement can be sliced by, read from a store, and agreement over time."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from factories import (
    NOW,
    make_judgment,
    make_pair,
    make_policy,
    make_prompt,
    make_response,
    open_store,
)

from annotate.accounts import add_labeler
from annotate.agreement import counted_votes, votes_to_count
from annotate.config import AnnotateConfig
from annotate.slices import MOST, Dimension, most_different, over_time, slices_of
from annotate.votes_table import votes_of_table
from storage.records import Purpose, Verdict
from storage.slices import judgments_not_counted, pair_facts, prompt_excerpts, vote_guidelines
from storage.team_records import Guideline

F, S, T, B, SKIP = Verdict
PAIRS = 48


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """48 pairs with two votes: people agree on easy ones and differ on every hard one."""
    with open_store(tmp_path_factory.mktemp("slices")) as store, store.connected():
        old = make_policy()
        new = make_policy(1, parent=old)
        store.append([old, new])
        add_labeler(store, "ann", password=None)
        add_labeler(store, "bob", password=None)
        guideline = Guideline(id="g1:x", revision=0, text="x", author="lead", created_at=NOW)
        store.append([guideline])
        prompts, responses, pairs, judged = [], [], [], []
        for i in range(PAIRS):
            hard = i % 2
            tags = ("hard", "math") if hard else ("easy",) if i % 4 else ()
            prompt = make_prompt(f"Question {i}", tags=tags)
            a = make_response(prompt, old, "x" * (300 if hard else 10), temperature=0.7)
            b = make_response(
                prompt, new if hard else old, "y" * 10, temperature=0.7 if hard else 1.2, index=1
            )
            purpose = Purpose.EVALUATION if i % 6 == 5 else Purpose.TRAIN
            pair = make_pair(a, b, purpose=purpose, number=hard)
            minute = 30 * i
            ann = make_judgment(pair, "ann", F, minute=minute)
            ann = replace(ann, guideline="g1:x") if i < 20 else ann
            bob = make_judgment(pair, "bob", S if hard else F, minute=minute)
            bob = replace(bob, guideline="g1:x") if i < 20 else bob
            prompts.append(prompt)
            responses += [a, b]
            pairs.append(pair)
            judged += [ann, bob]
        skip = make_judgment(pairs[0], "cem", SKIP)
        back = make_judgment(pairs[1], "cem", F, withdrawn=True)
        for rows in (prompts, responses, pairs, [*judged, skip, back]):
            store.append(rows)
        yield store


@pytest.fixture(scope="module")
def sliced(store):
    table = counted_votes(
        votes_to_count(store),
        AnnotateConfig(votes_per_pair=2, overlap_share=1.0, evaluation_votes=2),
    ).table
    seen = votes_of_table(table)
    facts = pair_facts(store, purposes=[Purpose.TRAIN, Purpose.EVALUATION])
    return slices_of(seen, table, facts, vote_guidelines(store)), seen, table


def shares(slices, dimension):
    """slice -> (pairs, observed agreement)"""
    return {s.slice: (s.n, s.observed_agreement.value) for s in slices.by[dimension]}


def test_every_dimension_has_its_slices(sliced):
    slices, _, _ = sliced
    assert shares(slices, Dimension.TAG) == {
        "easy": (12, 1.0),
        "hard": (24, 0.0),
        "math": (24, 0.0),
    }
    assert shares(slices, Dimension.ROUND) == {"round 0": (24, 1.0), "round 1": (24, 0.0)}
    assert shares(slices, Dimension.PURPOSE) == {
        "evaluation": (8, None),
        "train": (40, pytest.approx(0.6)),
    }
    assert shares(slices, Dimension.POLICY) == {"round 0": (48, 0.5), "round 1": (24, 0.0)}
    assert shares(slices, Dimension.POLICIES) == {
        "round 0 against round 0": (24, 1.0),
        "round 0 against round 1": (24, 0.0),
    }
    assert shares(slices, Dimension.TEMPERATURE) == {
        "both 0.7": (24, 0.0),
        "0.7 and 1.2": (24, 1.0),
    }
    assert shares(slices, Dimension.LENGTH) == {
        "up to 1.25 times": (24, 1.0),
        "over 4 times": (24, 0.0),
    }
    assert shares(slices, Dimension.LONGEST) == {
        "up to 250 characters": (24, 1.0),
        "to 1,000": (24, 0.0),
    }
    assert shares(slices, Dimension.TIME) == {
        "00 to 06 UTC": (12, pytest.approx(0.5)),
        "06 to 12 UTC": (12, pytest.approx(0.5)),
        "12 to 18 UTC": (12, pytest.approx(0.5)),
        "18 to 24 UTC": (12, pytest.approx(0.5)),
    }
    assert shares(slices, Dimension.GUIDELINES) == {"none": (28, 0.5), "version 1": (20, 0.5)}


def test_slices_that_differ_come_first_and_are_told_from_chance(sliced):
    slices, _, _ = sliced
    found = most_different(slices)
    assert all(one.differs for _, one in found[:10])
    assert {d for d, one in found if not one.differs} <= {
        Dimension.TIME,
        Dimension.GUIDELINES,
        Dimension.TAG,
    }
    assert [one.p_value for _, one in found] == sorted(one.p_value for _, one in found)
    assert all(one.p_adjusted >= one.p_value for _, one in found)
    assert slices.tested == len(found)
    assert not any(one.differs for one in slices.by[Dimension.TIME])


def test_many_tags_are_held_to_the_most_frequent(sliced, store):
    _, seen, table = sliced
    facts = pair_facts(store, purposes=[Purpose.TRAIN, Purpose.EVALUATION])
    tags = [[f"t{i:02}", "all", "all"] for i in range(facts.num_rows)]
    place = facts.schema.get_field_index("tags")
    many = facts.set_column(place, "tags", [tags])
    slices = slices_of(seen, table, many, vote_guidelines(store))
    assert len(slices.by[Dimension.TAG]) == MOST
    assert slices.by[Dimension.TAG][0].slice == "all"
    assert slices.by[Dimension.TAG][0].n == PAIRS, "a tag twice on one prompt counts once"
    assert slices.left_out == {Dimension.TAG: PAIRS + 1 - MOST}


def test_agreement_over_time_has_equal_numbers_of_pairs(sliced):
    _, seen, table = sliced
    assert over_time(seen, table) == [], "48 pairs are too few for two points"
    rows = votes_of_many(table)
    periods = over_time(votes_of_table(rows), rows)
    assert [p.agreement.n for p in periods] == [32, 32, 32]
    assert periods[0].begin == NOW
    assert all(a.end <= b.begin for a, b in itertools.pairwise(periods))
    assert all(p.agreement.low < p.agreement.value < p.agreement.high for p in periods)


def votes_of_many(table):
    """The votes twice, the second time on other pairs a month later."""
    import pyarrow as pa

    rows = table.to_pylist()
    later = [
        r | {"pair_id": f"{r['pair_id']}/2", "created_at": r["created_at"] + timedelta(days=30)}
        for r in rows
    ]
    return pa.Table.from_pylist(rows + later, schema=table.schema)


def test_nothing_judged_gives_no_slices(tmp_path):
    with open_store(tmp_path) as empty, empty.connected():
        table = counted_votes(votes_to_count(empty), AnnotateConfig()).table
        facts = pair_facts(empty, purposes=[Purpose.TRAIN])
        seen = votes_of_table(table)
        slices = slices_of(seen, table, facts, vote_guidelines(empty))
        assert (set(map(len, slices.by.values())), slices.tested) == ({0}, 0)
        assert over_time(seen, table) == []


def test_what_does_not_count_is_counted_by_reason(store):
    assert judgments_not_counted(store) == {
        "withdrawn": 1,
        "gold_pairs": 0,
        "hidden_repeats": 0,
        "skips": 1,
    }
    table = counted_votes(
        votes_to_count(store),
        AnnotateConfig(votes_per_pair=1, evaluation_votes=1, tie_breaker=True),
    )
    assert table.left_out == {"of_models": 0, "tie_breaking": 48}
    assert list(prompt_excerpts(store, ["none"], chars=5)) == []
