"""Settled pairs become chosen/rejected triplets. Pure: every pair is used or counted as dropped."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from storage.records import (
    IMPORTED_VOTES,
    Consensus,
    Pair,
    Prompt,
    Purpose,
    Split,
    Tier,
    Triplet,
    Verdict,
)


class Drop(StrEnum):
    """Why a pair gave no triplet."""

    NOT_JUDGED = "not_judged"
    UNSETTLED = "unsettled"
    TIE = "tie"
    BOTH_BAD = "both_bad"
    NOT_FOR_TRAINING = "not_for_training"  # evaluation, gold and repeat pairs
    TEST_PROMPT = "test_prompt"
    IDENTICAL = "identical_answers"  # of two imported models: nothing to learn from


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """Triplets and what was left out, by reason; together they are all the pairs."""

    triplets: list[Triplet]
    drops: Counter[Drop]

    def of(self, split: Split) -> list[Triplet]:
        return [t for t in self.triplets if t.split is split]


def build_triplets(
    pairs: Sequence[Pair],
    consensus: Mapping[str, Consensus],
    prompts: Mapping[str, Prompt],
    *,
    run_id: str,
    now: datetime,
) -> Built:
    """Triplets in the order of the pairs; a triplet's split is its prompt's."""
    triplets: list[Triplet] = []
    drops: Counter[Drop] = Counter()
    for pair in pairs:
        found = consensus.get(pair.id)
        split = prompts[pair.prompt_id].split
        made = _triplet(pair, found, split, run_id=run_id, now=now)
        if isinstance(made, Drop):
            drops[made] += 1
        else:
            triplets.append(made)
    return Built(triplets=triplets, drops=drops)


def _triplet(
    pair: Pair, found: Consensus | None, split: Split, *, run_id: str, now: datetime
) -> Triplet | Drop:
    if pair.purpose is not Purpose.TRAIN:
        return Drop.NOT_FOR_TRAINING
    if split is Split.TEST:
        return Drop.TEST_PROMPT
    if found is None or found.votes == 0:
        return Drop.NOT_JUDGED
    if not found.settled or found.verdict is None:
        return Drop.UNSETTLED
    match found.verdict:
        case Verdict.FIRST:
            chosen, rejected, votes = pair.first, pair.second, found.first_votes
            probability = found.probability_first
        case Verdict.SECOND:
            chosen, rejected, votes = pair.second, pair.first, found.second_votes
            probability = 1 - found.probability_first
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
        weight=1.0,
        probability=probability,
        agreement=votes / found.votes,
        votes=found.votes,
        tier=_tier(pair, found, votes),
        round=pair.round,
        created_at=now,
    )


def _tier(pair: Pair, found: Consensus, for_it: int) -> Tier:
    """for_it: how many votes the consensus verdict has."""
    if found.method == "adjudicated":
        return Tier.ADJUDICATED
    if pair.strategy == IMPORTED_VOTES:
        return Tier.IMPORTED
    return Tier.HUMAN_AGREED if for_it > 1 else Tier.HUMAN_SINGLE
