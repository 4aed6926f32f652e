"""What votes add up to: the order they came in never matters, a tie is never a preference."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from factories import NOW, make_adjudication, make_judgment
from hypothesis import given
from hypothesis import strategies as st

from annotate.accuracy import Accuracy
from annotate.config import AnnotateConfig
from annotate.consensus import (
    consensus_of,
    in_overlap,
    majority,
    planned_votes,
    posterior,
    votes_wanted,
)
from annotate.label_model import LabelModel
from storage.records import (
    IMPORTED_VOTES,
    Consensus,
    Pair,
    Purpose,
    Verdict,
)

F, S, T, B, SKIP = Verdict
CONFIG = AnnotateConfig()
votes = st.lists(st.sampled_from(Verdict), max_size=7)
configs = st.builds(AnnotateConfig, votes_per_pair=st.integers(1, 4), tie_breaker=st.booleans())


def pair_of(purpose: Purpose = Purpose.TRAIN, *, strategy: str = "random", i: int = 0) -> Pair:
    return Pair(
        id=f"c1:{i}",
        prompt_id="p1:x",
        first="r1:a",
        second="r1:b",
        purpose=purpose,
        strategy=strategy,
        round=0,
        created_at=NOW,
    )


def settled(verdicts: list[Verdict], config: AnnotateConfig = CONFIG, **changes) -> Consensus:
    judgments = [make_judgment("c1:x", f"labeler {i}", v) for i, v in enumerate(verdicts)]
    values = {"events": len(judgments)} | changes
    pair = values.pop("pair", pair_of())
    return consensus_of(pair, judgments, config=config, now=NOW, **values)


@given(votes.flatmap(lambda v: st.tuples(st.just(v), st.permutations(v))), configs)
def test_the_order_of_the_votes_does_not_matter(both, config):
    one, other = both
    assert settled(one, config) == settled(other, config)


@given(votes, configs)
def test_swapping_every_vote_swaps_the_consensus(verdicts, config):
    one, other = settled(verdicts, config), settled([v.swapped() for v in verdicts], config)
    assert other.verdict == (one.verdict.swapped() if one.verdict else None)
    assert other.probability_first == pytest.approx(1 - one.probability_first)
    assert (other.settled, other.closed, other.reason) == (one.settled, one.closed, one.reason)


@given(votes, configs)
def test_a_consensus_counts_every_vote_once_and_no_skip(verdicts, config):
    found, count = settled(verdicts, config), Counter(verdicts)
    assert (found.first_votes, found.second_votes) == (count[F], count[S])
    assert (found.tie_votes, found.both_bad_votes) == (count[T], count[B])
    assert found.votes == len(verdicts) - count[SKIP]
    assert 0 < found.probability_first < 1
    assert found.settled == (found.verdict is not None)
    assert found.verdict is not SKIP
    assert found.closed or not found.settled


@given(votes)
def test_a_majority_is_more_than_half(verdicts):
    counted = [v for v in verdicts if v is not SKIP]
    winner = majority(verdicts)
    assert winner is None or 2 * counted.count(winner) > len(counted)
    assert winner is not None or all(2 * counted.count(v) <= len(counted) for v in Verdict)


@pytest.mark.parametrize(
    ("verdicts", "verdict", "closed", "reason"),
    [
        ([], None, False, "0 of 2 votes"),
        ([F], None, False, "1 of 2 votes"),
        ([F, SKIP], None, False, "1 of 2 votes"),
        ([F, F], F, True, "2 of 2 votes agree"),
        ([S, SKIP, S], S, True, "2 of 2 votes agree"),
        ([T, T], T, True, "2 of 2 votes agree"),
        ([B, B], B, True, "2 of 2 votes agree"),
        ([F, S], None, False, "the first 2 votes differ, one more is wanted"),
        ([T, B], None, False, "the first 2 votes differ, one more is wanted"),
        ([F, S, F], F, True, "2 of 3 votes agree"),
        ([F, T, T], T, True, "2 of 3 votes agree"),
        ([F, S, T], None, True, "no majority among 3 votes"),
        ([F, T, B], None, True, "no majority among 3 votes"),
        ([F, F, S, S], None, True, "no majority among 4 votes"),
    ],
    ids=lambda x: "-".join(x) or "none" if isinstance(x, list) else None,
)
def test_two_agreeing_votes_settle_and_a_third_is_asked_for_where_they_differ(
    verdicts, verdict, closed, reason
):
    """A tie and "both bad" are verdicts of their own: neither is added to the other."""
    found = settled(verdicts)
    assert (found.verdict, found.closed, found.reason) == (verdict, closed, reason)


def test_without_a_tie_breaker_differing_votes_stay_unsettled():
    found = settled([F, S], AnnotateConfig(tie_breaker=False))
    assert (found.settled, found.closed) == (False, True)
    assert found.reason == "no majority among 2 votes"


@pytest.mark.parametrize(("verdicts", "reason"), [([], "0 of 1 vote"), ([T], "1 of 1 vote agrees")])
def test_where_one_vote_is_planned_it_is_told_as_one(verdicts, reason):
    assert settled(verdicts, AnnotateConfig(votes_per_pair=1)).reason == reason


def test_comparisons_of_policies_have_their_own_number_of_votes():
    config = AnnotateConfig(votes_per_pair=3, evaluation_votes=1)
    comparison = pair_of(Purpose.EVALUATION)
    assert settled([F], config, pair=comparison).settled
    assert not settled([F], config).settled
    assert votes_wanted([F], comparison, config) == 1
    assert votes_wanted([F, S, T], pair_of(), config) == 4


def test_more_votes_for_the_same_verdict_are_stronger_evidence():
    """Odds of .8 : .2 per vote of lead, before the project has votes of its own."""
    odds = 0.8 / 0.2
    for verdicts, lead in (
        ([F], 1),
        ([F, F], 2),
        ([F, F, F], 3),
        ([F, S], 0),
        ([F, S, F], 1),
        ([S, S], -2),
    ):
        expected = odds**lead / (1 + odds**lead)
        assert settled(verdicts).probability_first == pytest.approx(expected, abs=1e-12)


def test_ties_and_both_bad_speak_for_neither_answer():
    for verdicts in ([T, T], [B, B, SKIP], [T, B], []):
        assert settled(verdicts).probability_first == 0.5
    assert settled([F, T, B]).probability_first == settled([F]).probability_first


def test_votes_weigh_as_much_as_the_projects_people_are_right():
    """At agreement .73 one vote is right in .839: .839, .965, .993 (docs/statistics.md)."""
    accuracy = Accuracy(own=0.73, imported=0.5)
    found = [settled([F] * n, accuracy=accuracy).probability_first for n in (1, 2, 3)]
    assert found == pytest.approx([0.8391, 0.9645, 0.9930], abs=1e-4)
    imported = settled([F] * 3, pair=pair_of(strategy=IMPORTED_VOTES), accuracy=accuracy)
    assert imported.probability_first == 0.5


def test_only_the_overlap_share_gets_more_than_one_vote_and_a_larger_share_keeps_it():
    """Coverage first: the share is of the pairs, by hash, the same at every restart."""
    ids = [f"c1:{i}" for i in range(2000)]
    some, more = ({i for i in ids if in_overlap(i, share=s)} for s in (0.15, 0.5))
    assert some < more
    assert abs(len(some) - 300) < 80
    config = AnnotateConfig(votes_per_pair=3, overlap_share=0.15)
    assert {i for i in ids if planned_votes(i, Purpose.TRAIN, "random", config) == 3} == some
    alone = pair_of(i=next(i for i in range(2000) if f"c1:{i}" not in some))
    assert settled([F], config, pair=alone).closed


def test_imported_votes_are_all_there_will_be():
    """Nobody is asked again about a pair that came with its votes."""
    imported = pair_of(strategy=IMPORTED_VOTES)
    for verdicts, verdict in (([F], F), ([F, S], None), ([F, S, S, T, S], S)):
        found = settled(verdicts, pair=imported)
        assert (found.closed, found.verdict) == (True, verdict)


def test_the_posterior_is_bayes_rule_over_four_verdicts():
    """By hand, accuracy .8: .64 x .0667 against .0667 x .8 x .0667 ... for votes F, F, S."""
    wrong = 0.2 / 3
    weight = {F: 0.8**2 * wrong, S: wrong**2 * 0.8, T: wrong**3, B: wrong**3}
    found = posterior([F, F, S], accuracy=0.8)
    for verdict, w in weight.items():
        assert found[verdict] == pytest.approx(w / sum(weight.values()), abs=1e-12)
    assert set(posterior([], accuracy=0.8).values()) == {0.25}


@pytest.mark.parametrize(
    ("verdicts", "closed", "verdict"),
    [
        ([], False, None),
        ([F], False, None),  # .80
        ([F, F], True, F),  # .98
        ([F, S], False, None),
        ([F, S, F], False, None),  # .86
        ([F, S, F, F], True, F),
        ([F, S, F, S, T], True, None),  # max_votes
        ([F, S, F, S, F], True, F),  # max_votes: the majority counts
    ],
)
def test_voting_stops_when_the_posterior_is_sure_or_the_votes_are_used_up(
    verdicts, closed, verdict
):
    found = settled(verdicts, AnnotateConfig(stop_at=0.95, vote_accuracy=0.8, max_votes=5))
    assert (found.closed, found.verdict, found.method) == (closed, verdict, "posterior")


MODEL = AnnotateConfig(consensus="dawid_skene", settle_at=0.9)
PEOPLE = {"careful": 0.97, "good": 0.85, "coin": 0.5}


def known_people() -> Accuracy:
    """A model of three people who never say tie or both-bad when an answer is better."""
    confusion = {
        name: np.array(
            [
                [a - 0.01, 1 - a - 0.01, 0.01, 0.01],
                [1 - a - 0.01, a - 0.01, 0.01, 0.01],
                [0.1, 0.1, 0.7, 0.1],
                [0.1, 0.1, 0.1, 0.7],
            ]
        )
        for name, a in PEOPLE.items()
    }
    model = LabelModel(
        prior_K=np.array([0.4, 0.4, 0.1, 0.1]), confusion=confusion, anybody=confusion["good"]
    )
    return Accuracy(own=0.7, imported=0.7, model=model)


def by_model(said: dict[str, Verdict], config: AnnotateConfig = MODEL, **changes) -> Consensus:
    current = [make_judgment("c1:x", who, v) for who, v in said.items()]
    return consensus_of(
        pair_of(),
        current,
        events=len(current),
        config=config,
        now=NOW,
        accuracy=known_people(),
        **changes,
    )


def test_by_the_model_a_pair_settles_on_who_said_it_not_on_how_many():
    careful = by_model({"careful": F, "good": F})
    assert (careful.verdict, careful.method) == (F, "dawid_skene")
    assert careful.reason == "posterior 0.99 by Dawid-Skene after 2 votes"
    coin = by_model({"coin": F, "good": F})
    assert (coin.settled, coin.closed) == (False, True)
    assert coin.reason == (
        "posterior 0.85 by Dawid-Skene after 2 votes, 0.9 is wanted, and no more votes are asked for"
    )
    outvoted = by_model({"careful": F, "coin": S, "good": F})
    assert (outvoted.verdict, outvoted.probability_first > 0.95) == (F, True)
    tied = by_model({"careful": T, "good": T})
    assert (tied.verdict, tied.probability_first) == (T, pytest.approx(0.5))
    waiting = by_model({"careful": F})
    assert (waiting.reason, waiting.closed) == ("1 of 2 votes", False)


def test_a_verdict_that_nobody_gave_settles_nothing():
    """Somebody who is nearly always wrong tells the truth by denying it, but nobody said it."""
    model = known_people().model
    assert model is not None
    wrong = model.confusion["careful"][[1, 0, 2, 3]]
    turned = Accuracy(own=0.7, imported=0.7, model=replace(model, confusion={"opposed": wrong}))
    found = consensus_of(
        pair_of(),
        [make_judgment("c1:x", "opposed", F)],
        events=1,
        config=MODEL.model_copy(update={"votes_per_pair": 1}),
        now=NOW,
        accuracy=turned,
    )
    assert (found.verdict, found.probability_first < 0.05) == (None, True)
    assert found.reason.endswith("of a verdict that nobody gave")


@given(votes, st.permutations(["careful", "good", "coin"]), st.booleans())
def test_by_the_model_order_does_not_matter_and_swapping_swaps(verdicts, names, known):
    def found(said: list[tuple[str, Verdict]]) -> Consensus:
        return consensus_of(
            pair_of(),
            [make_judgment("c1:x", who, v) for who, v in said],
            events=len(said),
            config=MODEL,
            now=NOW,
            accuracy=known_people() if known else None,
        )

    said = list(zip(names, verdicts, strict=False))
    one, again = found(said), found(said[::-1])
    assert one == again
    other = found([(who, v.swapped()) for who, v in said])
    assert other.probability_first == pytest.approx(1 - one.probability_first)
    assert (other.reason, other.settled, other.closed) == (one.reason, one.settled, one.closed)
    if len({Verdict.FIRST, Verdict.SECOND} & {one.verdict}):
        assert other.verdict is one.verdict.swapped()


@pytest.mark.parametrize(
    ("verdict", "first"), [(F, 0.95), (S, 0.05), (T, 0.5), (B, 0.5), (None, 0.5)], ids=str
)
@pytest.mark.parametrize("config", [CONFIG, MODEL], ids=["majority", "dawid_skene"])
def test_an_adjudicators_decision_goes_before_the_votes(verdict, first, config):
    found = settled([F, F, S], config, adjudication=make_adjudication("c1:0", verdict))
    assert (found.method, found.settled, found.closed) == ("adjudicated", True, True)
    assert (found.verdict, found.votes) == (verdict, 3)
    assert found.probability_first == pytest.approx(first)
    assert "style" in found.reason
    assert ("undecidable" in found.reason) == (verdict is None)
