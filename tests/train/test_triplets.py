"""Pairs become training examples, or are counted as to why not."""

import math
from collections import Counter
from dataclasses import replace

import pytest
from factories import (
    NOW,
    make_adjudication,
    make_judgment,
    make_pair,
    make_policy,
    make_prompt,
    make_response,
)
from hypothesis import given
from hypothesis import strategies as st

from annotate.config import AnnotateConfig
from annotate.consensus import consensus_of
from storage.records import (
    IMPORTED_VOTES,
    Consensus,
    Pair,
    Purpose,
    Split,
    Tier,
    Verdict,
)
from train.triplets import JUDGE_PROBABILITY, Built, Drop, build_triplets, weight_of

F, S, T, B, SKIP = Verdict
POLICY = make_policy()


def case(i: int, *, split: Split = Split.TRAIN, purpose: Purpose = Purpose.TRAIN):
    """A prompt and its pair."""
    prompt = make_prompt(f"Question {i}", split=split)
    answers = [make_response(prompt, POLICY, f"{i} {k}", index=k) for k in range(2)]
    return prompt, make_pair(*answers, purpose=purpose)


def judged(pair: Pair, verdicts: list[Verdict], **changes) -> Consensus:
    current = [make_judgment(pair, f"labeler {i}", v) for i, v in enumerate(verdicts)]
    config = AnnotateConfig()
    return consensus_of(
        replace(pair, purpose=Purpose.TRAIN),
        current,
        events=len(current),
        config=config,
        now=NOW,
        **changes,
    )


def build(cases, votes) -> Built:
    """Triplets of cases with these votes; no votes at all where a case has None."""
    pairs = [pair for _, pair in cases]
    found = {p.id: judged(p, v) for p, v in zip(pairs, votes, strict=True) if v is not None}
    return build_triplets(pairs, found, {p.id: p.split for p, _ in cases}, run_id="run", now=NOW)


some_cases = st.lists(
    st.tuples(
        st.sampled_from(Split),
        st.sampled_from(Purpose),
        st.none() | st.lists(st.sampled_from(Verdict), max_size=4),
    ),
    max_size=8,
)


@given(some_cases)
def test_every_pair_is_a_triplet_or_a_counted_drop(rows):
    cases = [case(i, split=s, purpose=p) for i, (s, p, _) in enumerate(rows)]
    built = build(cases, [v for *_, v in rows])
    assert len(built.triplets) + built.drops.total() == len(rows)
    assert len({t.id for t in built.triplets}) == len(built.triplets)
    pairs = {pair.id: (prompt, pair) for prompt, pair in cases}
    for triplet in built.triplets:
        prompt, pair = pairs[triplet.pair_id]
        assert {triplet.chosen, triplet.rejected} == {pair.first, pair.second}
        assert triplet.split is prompt.split is not Split.TEST
        assert pair.purpose is Purpose.TRAIN
        assert 0.5 < triplet.probability < 1
        assert 0.5 < triplet.agreement <= 1
        assert triplet.weight == pytest.approx(2 * triplet.probability - 1)
        assert 0 < triplet.weight < 1
        assert triplet.tier is Tier.HUMAN_AGREED
    assert sum(len(built.of(s)) for s in Split) == len(built.triplets)


@given(st.lists(st.sampled_from(Verdict), max_size=4))
def test_swapping_the_votes_swaps_chosen_and_rejected(verdicts):
    one, other = (build([case(0)], [v]) for v in (verdicts, [v.swapped() for v in verdicts]))
    assert one.drops == other.drops
    for a, b in zip(one.triplets, other.triplets, strict=True):
        assert (a.chosen, a.rejected) == (b.rejected, b.chosen)
        assert a.probability == pytest.approx(b.probability)
        assert (a.agreement, a.votes) == (b.agreement, b.votes)


@pytest.mark.parametrize(
    ("votes", "reason"),
    [
        (None, Drop.NOT_JUDGED),
        ([SKIP, SKIP], Drop.NOT_JUDGED),
        ([F], Drop.UNSETTLED),
        ([F, S], Drop.UNSETTLED),
        ([F, S, T], Drop.UNSETTLED),
        ([T, T], Drop.TIE),
        ([F, T, T], Drop.TIE),
        ([B, B], Drop.BOTH_BAD),
    ],
)
def test_a_pair_without_a_preferred_answer_is_dropped_with_its_reason(votes, reason):
    assert build([case(0)], [votes]) == Built(triplets=[], drops=Counter({reason: 1}))


def test_the_preferred_answer_is_chosen_with_the_votes_behind_it():
    prompt, pair = case(0)
    (unanimous,) = build([(prompt, pair)], [[S, S]]).triplets
    assert (unanimous.chosen, unanimous.rejected) == (pair.second, pair.first)
    assert (unanimous.votes, unanimous.agreement, unanimous.probability) == (
        2,
        1.0,
        pytest.approx(16 / 17),
    )
    (split,) = build([(prompt, pair)], [[F, S, F]]).triplets
    assert (split.chosen, split.votes, split.agreement) == (pair.first, 3, 2 / 3)
    assert split.probability == pytest.approx(0.8)
    assert (split.run_id, split.round, split.prompt_id) == ("run", 0, prompt.id)


@pytest.mark.parametrize("purpose", [Purpose.EVALUATION, Purpose.GOLD, Purpose.REPEAT])
def test_what_policies_are_compared_on_is_never_trained_on(purpose):
    assert build([case(0, purpose=purpose)], [[F, F]]).drops == {Drop.NOT_FOR_TRAINING: 1}


def test_test_prompts_are_never_trained_on():
    built = build([case(0, split=Split.TEST), case(1, split=Split.VALIDATION)], [[F, F]] * 2)
    assert built.drops == {Drop.TEST_PROMPT: 1}
    assert [t.split for t in built.triplets] == [Split.VALIDATION]
    assert built.of(Split.TRAIN) == []


def test_the_weight_is_how_much_of_a_sure_labels_gradient_is_left():
    """Expected slope of -log sigmoid at margin 0 over that of a label known to be right."""
    for p in (0.5, 0.6, 0.84, 1.0):
        margin = 1e-6

        def loss(x: float) -> float:
            return math.log1p(math.exp(-x))

        def expected(x: float, p: float = p) -> float:
            return p * loss(x) + (1 - p) * loss(-x)

        slope, sure = ((f(margin) - f(-margin)) / (2 * margin) for f in (expected, loss))
        assert weight_of(p) == pytest.approx(slope / sure, abs=1e-6)


def one(found: Consensus | None, pair: Pair, prompt, **options) -> Built:
    known = {pair.id: found} if found else {}
    return build_triplets(
        [pair], known, {prompt.id: prompt.split}, run_id="run", now=NOW, **options
    )


def test_every_tier_says_how_the_preference_was_come_by():
    prompt, pair = case(0)
    imported = replace(pair, strategy=IMPORTED_VOTES)
    single = AnnotateConfig(votes_per_pair=1)
    alone = consensus_of(pair, [make_judgment(pair, "ann", S)], events=1, config=single, now=NOW)
    tiers = {
        Tier.HUMAN_AGREED: one(judged(pair, [S, S]), pair, prompt),
        Tier.HUMAN_SINGLE: one(alone, pair, prompt),
        Tier.ADJUDICATED: one(
            judged(pair, [F, F], adjudication=make_adjudication("c1:x", S)), pair, prompt
        ),
        Tier.IMPORTED: one(judged(imported, [S, S]), imported, prompt),
        Tier.JUDGE: one(None, pair, prompt, models={pair.id: {S: 1}}, judge_votes=True),
    }
    for tier, built in tiers.items():
        (triplet,) = built.triplets
        assert (triplet.tier, triplet.chosen) == (tier, pair.second)
    adjudicated, judge = (tiers[t].triplets[0] for t in (Tier.ADJUDICATED, Tier.JUDGE))
    assert (adjudicated.votes, adjudicated.agreement) == (2, 0.0)
    assert adjudicated.probability == pytest.approx(0.95)
    assert judge.probability == pytest.approx(JUDGE_PROBABILITY)
    assert judge.weight < tiers[Tier.HUMAN_SINGLE].triplets[0].weight


def test_a_pair_adjudicated_without_votes_is_trained_on():
    prompt, pair = case(0)
    (triplet,) = one(
        judged(pair, [], adjudication=make_adjudication("c1:x", F)), pair, prompt
    ).triplets
    assert (triplet.votes, triplet.agreement, triplet.tier) == (0, 0.0, Tier.ADJUDICATED)


@pytest.mark.parametrize(
    ("verdict", "reason"), [(None, Drop.UNDECIDABLE), (T, Drop.TIE), (B, Drop.BOTH_BAD)], ids=str
)
def test_what_an_adjudicator_does_not_prefer_is_never_trained_on(verdict, reason):
    prompt, pair = case(0)
    built = one(judged(pair, [F, F], adjudication=make_adjudication("c1:x", verdict)), pair, prompt)
    assert built.drops == {reason: 1}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({F: 1, S: 1}, Drop.UNSETTLED),
        ({T: 2, S: 1}, Drop.TIE),
        ({B: 1}, Drop.BOTH_BAD),
        ({F: 0}, Drop.NOT_JUDGED),
    ],
)
def test_models_stand_in_only_where_asked_for_and_by_majority(said, reason):
    prompt, pair = case(0)
    assert one(None, pair, prompt, models={pair.id: said}, judge_votes=True).drops == {reason: 1}
    without = Drop.JUDGE_ONLY if sum(said.values()) else Drop.NOT_JUDGED
    assert one(None, pair, prompt, models={pair.id: said}).drops == {without: 1}


@given(st.lists(st.sampled_from(Verdict), min_size=1, max_size=4))
def test_one_human_vote_and_models_are_not_heard(verdicts):
    prompt, pair = case(0)
    found = judged(pair, verdicts)
    options = {"models": {pair.id: {F: 3}}, "judge_votes": True}
    heard = one(found, pair, prompt, **options)
    if found.votes:
        assert heard == one(found, pair, prompt)
    else:
        assert [t.tier for t in heard.triplets] == [Tier.JUDGE]
