"""Settled pairs become chosen/rejected triplets. Pure: every pair is used or counted as dropped.

A triplet's weight is 2p - 1, p being the probability that its chosen answer is the better one. With
the label right with probability p, the expected gradient of the DPO loss is exactly 2p - 1 times
that of a certain label where training starts (policy = reference, margin 0): p (-1/2) + (1 - p) (1/2)
per unit of margin. Where the votes are even it is 0, and no settled pair's are. Geometric-averaged
DPO scales the margin by the same factor (Furuta et al. 2024, arXiv 2409.06691). A tie that is
trained on says for certain that neither answer is better: its weight is 1, its probability 0.5.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import assert_never

from storage.records import (
    ADJUDICATED,
    IMPORTED_VOTES,
    Consensus,
    Pair,
    Purpose,
    Split,
    Tier,
    Triplet,
    Verdict,
)

# How often a model's verdict, the same in both orders, is right: AlpacaFarm's judge agrees with one
# person in 65 of 100, people with one another in 66 (Dubois et al. 2023), which is .74 if all err
# independently. More models do not make it surer: they err on the same pairs.
JUDGE_PROBABILITY = 0.75


class Drop(StrEnum):
    """Why a pair gave no triplet."""

    NOT_JUDGED = "not_judged"
    JUDGE_ONLY = "judge_only"  # no person judged it, and train.judge_votes is off
    UNSETTLED = "unsettled"
    UNDECIDABLE = "undecidable"  # so an adjudicator found
    TIE = "tie"
    BOTH_BAD = "both_bad"
    NOT_FOR_TRAINING = "not_for_training"  # evaluation, gold and repeat pairs
    TEST_PROMPT = "test_prompt"
    SCORED = "left_to_the_reward_model"  # whose scores are trained on, not the pair
    IDENTICAL = "identical_answers"  # of two imported models: nothing to learn from


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpaired:
    """Two answers alike, of a tie or both bad: for a method that takes each answer by itself."""

    pair_id: str
    prompt_id: str
    answers: tuple[str, str]
    desirable: bool
    split: Split


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """Triplets, answers alike and what was left out, by reason; together they are all the pairs.

    even: ties to train on as pairs of probability 0.5, the pair's first answer as the chosen one.
    """

    triplets: list[Triplet]
    drops: Counter[Drop]
    unpaired: tuple[Unpaired, ...] = ()
    even: tuple[Triplet, ...] = ()

    def of(self, split: Split) -> list[Triplet]:
        return [t for t in self.triplets if t.split is split]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of a judged pair; tier is None while unsettled.

    by_people: or by models, where no person judged it.
    agreement: share of the votes that gave the verdict, or the commonest one where there is none.
    """

    by_people: bool
    verdict: Verdict | None
    probability_first: float
    votes: int
    agreement: float
    tier: Tier | None


def build_triplets(
    pairs: Sequence[Pair],
    consensus: Mapping[str, Consensus],
    splits: Mapping[str, Split],
    *,
    run_id: str,
    now: datetime,
    models: Mapping[str, Mapping[Verdict, int]] | None = None,
    judge_votes: bool = False,
    alike: Mapping[Drop, bool] = MappingProxyType({}),
    soft_ties: bool = False,
) -> Built:
    """Triplets in the order of the pairs; a triplet's split is its prompt's (splits, by prompt).

    soft_ties: keep ties of training prompts as even triplets; held-out ones show nothing of a policy.
    alike: of ties and both-bad pairs those to keep, and whether their answers are desirable.
    models: models' votes by pair; with judge_votes they stand in where no person judged a pair.
    """
    triplets: list[Triplet] = []
    drops: Counter[Drop] = Counter()
    unpaired: list[Unpaired] = []
    even: list[Triplet] = []
    for pair in pairs:
        split = splits[pair.prompt_id]
        found = standing_of(pair, consensus.get(pair.id), (models or {}).get(pair.id, {}))
        made = _triplet(pair, found, split, judge_votes=judge_votes, run_id=run_id, now=now)
        if made is Drop.TIE and found is not None and soft_ties and split is Split.TRAIN:
            leaning = replace(found, verdict=Verdict.FIRST, probability_first=0.5)
            tie = _triplet(pair, leaning, split, judge_votes=judge_votes, run_id=run_id, now=now)
            assert isinstance(tie, Triplet), "a tie that leans to one side is a triplet"
            even.append(replace(tie, weight=1.0))
        elif not isinstance(made, Drop):
            triplets.append(made)
        elif made in alike:
            unpaired.append(
                Unpaired(
                    pair_id=pair.id,
                    prompt_id=pair.prompt_id,
                    answers=(pair.first, pair.second),
                    desirable=alike[made],
                    split=split,
                )
            )
        else:
            drops[made] += 1
    return Built(triplets=triplets, drops=drops, unpaired=tuple(unpaired), even=tuple(even))


def weight_of(probability: float) -> float:
    """2p - 1: what a label counts that is right with probability p; see the top of this file."""
    return 2 * probability - 1


def counted_ties(count: int) -> str:
    """In words."""
    return "1 tie" if count == 1 else f"{count} ties"


def standing_of(
    pair: Pair, found: Consensus | None, models: Mapping[Verdict, int]
) -> Standing | None:
    """What people make of the pair; what models do where no person judged it; None where nobody did."""
    if found is not None and (found.votes or found.method == ADJUDICATED):
        return _by_people(pair, found)
    return _by_models(models) if sum(models.values()) else None


def _by_people(pair: Pair, found: Consensus) -> Standing:
    count = {
        Verdict.FIRST: found.first_votes,
        Verdict.SECOND: found.second_votes,
        Verdict.TIE: found.tie_votes,
        Verdict.BOTH_BAD: found.both_bad_votes,
    }
    verdict = found.verdict if found.settled else None
    for_it = count[verdict] if verdict is not None else max(count.values())
    if not found.settled:
        tier = None
    elif found.method == ADJUDICATED:
        tier = Tier.ADJUDICATED
    elif pair.strategy == IMPORTED_VOTES:
        tier = Tier.IMPORTED
    else:
        tier = Tier.HUMAN_AGREED if for_it > 1 else Tier.HUMAN_SINGLE
    return Standing(
        by_people=True,
        verdict=verdict,
        probability_first=found.probability_first,
        votes=found.votes,
        agreement=for_it / found.votes if found.votes else 0.0,
        tier=tier,
    )


def _by_models(models: Mapping[Verdict, int]) -> Standing:
    votes = sum(models.values())
    leading = max(models, key=lambda v: models[v])
    settled = 2 * models[leading] > votes
    first = {Verdict.FIRST: JUDGE_PROBABILITY, Verdict.SECOND: 1 - JUDGE_PROBABILITY}
    return Standing(
        by_people=False,
        verdict=leading if settled else None,
        probability_first=first.get(leading, 0.5) if settled else 0.5,
        votes=votes,
        agreement=models[leading] / votes,
        tier=Tier.JUDGE if settled else None,
    )


def _triplet(
    pair: Pair,
    found: Standing | None,
    split: Split,
    *,
    judge_votes: bool,
    run_id: str,
    now: datetime,
) -> Triplet | Drop:
    if pair.purpose is not Purpose.TRAIN:
        return Drop.NOT_FOR_TRAINING
    if split is Split.TEST:
        return Drop.TEST_PROMPT
    if found is None:
        return Drop.NOT_JUDGED
    if not found.by_people and not judge_votes:
        return Drop.JUDGE_ONLY
    if found.tier is None:
        return Drop.UNSETTLED
    match found.verdict:
        case None:
            return Drop.UNDECIDABLE
        case Verdict.FIRST:
            chosen, rejected, probability = pair.first, pair.second, found.probability_first
        case Verdict.SECOND:
            chosen, rejected, probability = pair.second, pair.first, 1 - found.probability_first
        case Verdict.TIE:
            return Drop.TIE
        case Verdict.BOTH_BAD:
            return Drop.BOTH_BAD
        case Verdict.SKIP:
            raise AssertionError("a skip is never a consensus")
        case _:
            assert_never(found.verdict)
    return Triplet(
        id=Triplet.id_of(run_id=run_id, pair_id=pair.id),
        run_id=run_id,
        pair_id=pair.id,
        prompt_id=pair.prompt_id,
        chosen=chosen,
        rejected=rejected,
        split=split,
        weight=weight_of(probability),
        probability=probability,
        agreement=found.agreement,
        votes=found.votes,
        tier=found.tier,
        round=pair.round,
        created_at=now,
    )
