"""What a pair's judgments add up to: majority, with ties and both-bad kept apart.

Two agreeing votes settle a pair; where the first ones differ, one more is asked for. A pair with
no majority stays unsettled and says so. With `stop_at`, votes are asked for until the posterior of
one verdict reaches it. Models' judgments are kept beside people's and never counted here.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol, assert_never

import numpy as np

from annotate.accuracy import Accuracy
from annotate.config import Distribution
from annotate.stats.consensus_model import probability_first
from storage import judgments as judging
from storage import pairs as pairing
from storage.records import (
    IMPORTED_VOTES,
    Consensus,
    Judgment,
    LabelerKind,
    Pair,
    Purpose,
    Verdict,
)
from storage.store import Store, utc_now

MAJORITY, POSTERIOR, ADJUDICATED = "majority", "posterior", "adjudicated"
ADJUDICATOR_ACCURACY = 0.95  # researchers who discussed a pair: Stiennon et al. 2020, appendix C.2
SETTLED = (Purpose.TRAIN, Purpose.EVALUATION)  # gold pairs and repeats are not decided by votes
VERDICTS = (Verdict.FIRST, Verdict.SECOND, Verdict.TIE, Verdict.BOTH_BAD)


class Decision(Protocol):
    """What an adjudicator decided; verdict None: it cannot be decided."""

    @property
    def verdict(self) -> Verdict | None: ...


def majority(verdicts: Sequence[Verdict]) -> Verdict | None:
    """The verdict of more than half of the votes, skips left out; None if there is none."""
    counted = [v for v in verdicts if v is not Verdict.SKIP]
    if not counted:
        return None
    verdict, votes = Counter(counted).most_common(1)[0]
    return verdict if 2 * votes > len(counted) else None


def posterior(verdicts: Sequence[Verdict], *, accuracy: float) -> dict[Verdict, float]:
    """How probable each verdict is, given the votes; they sum to 1.

    One-coin form of Dawid and Skene (1979, section 2): every vote is right with probability
    `accuracy`, else one of the other verdicts, all alike; all verdicts are equally likely before.
    """
    count = Counter(verdicts)
    wrong = (1 - accuracy) / (len(VERDICTS) - 1)
    weight = {v: (accuracy / wrong) ** count[v] for v in VERDICTS}
    total = sum(weight.values())
    return {v: w / total for v, w in weight.items()}


def in_overlap(pair_id: str, *, share: float) -> bool:
    """Whether a pair is among the share that gets more than one vote: by hash, for all alike.

    A larger share keeps every pair that a smaller one had.
    """
    digest = hashlib.sha256(f"overlap\0{pair_id}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 < share


def planned_votes(pair_id: str, purpose: Purpose, strategy: str, config: Distribution) -> int:
    """Votes a pair gets before a tie-breaker is thought of."""
    if strategy == IMPORTED_VOTES:
        return 1
    match purpose:
        case Purpose.EVALUATION:
            return config.evaluation_votes
        case _:
            overlap = in_overlap(pair_id, share=config.overlap_share)
            return config.votes_per_pair if overlap else 1


def votes_wanted(verdicts: Sequence[Verdict], pair: Pair, config: Distribution) -> int:
    """How many votes the pair should end up with, given those it has (skips left out)."""
    if pair.strategy == IMPORTED_VOTES:
        return len(verdicts)  # it came with its votes; nobody is asked again
    planned = planned_votes(pair.id, pair.purpose, pair.strategy, config)
    if config.stop_at is not None and planned > 1:
        return _votes_to_be_sure(verdicts, config, stop_at=config.stop_at)
    undecided = len(verdicts) >= planned > 1 and majority(verdicts) is None
    return planned + (1 if config.tie_breaker and undecided else 0)


def _votes_to_be_sure(verdicts: Sequence[Verdict], config: Distribution, *, stop_at: float) -> int:
    """The fewest votes that could make one verdict sure enough: not more are asked for at once."""
    votes = list(verdicts)
    while len(votes) < config.max_votes:
        shares = posterior(votes, accuracy=config.vote_accuracy)
        leading = max(shares, key=lambda v: shares[v])
        if votes and shares[leading] >= stop_at:
            break
        votes.append(leading)
    return len(votes)


def consensus_of(
    pair: Pair,
    current: Sequence[Judgment],
    *,
    events: int,
    config: Distribution,
    now: datetime,
    adjudication: Decision | None = None,
    accuracy: Accuracy | None = None,
) -> Consensus:
    """The consensus of people's present judgments on a pair; their order does not matter.

    adjudication: the standing decision on the pair, which goes before its votes.
    accuracy: what the project's votes are worth; the settings' vote_accuracy where it is not given.
    probability_first is that the first answer is the better one, if every vote is right as often as
    the project's are: at .8, .94 after two of two votes and .98 after three of three. Ties and
    both-bad speak for neither answer.
    """
    votes = [j.verdict for j in current if j.verdict is not Verdict.SKIP]
    count: Counter[Verdict] = Counter(votes)
    agreement = (accuracy or Accuracy.prior(config.vote_accuracy)).of(pair)
    wanted = votes_wanted(votes, pair, config)
    by_posterior = (
        config.stop_at is not None
        and planned_votes(pair.id, pair.purpose, pair.strategy, config) > 1
    )
    if adjudication is not None:
        verdict, reason = adjudication.verdict, "adjudicated"
    elif by_posterior:
        verdict, reason = _by_posterior(votes, wanted, config)
    else:
        verdict, reason = _by_majority(votes, pair, wanted, config)
    method = POSTERIOR if by_posterior else MAJORITY
    return Consensus(
        pair_id=pair.id,
        verdict=verdict,
        probability_first=_probability_first(count, agreement, adjudication),
        votes=len(votes),
        first_votes=count[Verdict.FIRST],
        second_votes=count[Verdict.SECOND],
        tie_votes=count[Verdict.TIE],
        both_bad_votes=count[Verdict.BOTH_BAD],
        method=method if adjudication is None else ADJUDICATED,
        settled=verdict is not None or adjudication is not None,
        reason=reason,
        closed=len(votes) >= wanted or adjudication is not None,
        events=events,
        created_at=now,
    )


def _probability_first(
    count: Mapping[Verdict, int], agreement: float, adjudication: Decision | None
) -> float:
    if adjudication is None:
        lead = count[Verdict.FIRST] - count[Verdict.SECOND]
        return float(
            probability_first(np.array([float(lead)]), np.zeros(1), agreement=agreement)[0]
        )
    match adjudication.verdict:
        case Verdict.FIRST:
            return ADJUDICATOR_ACCURACY
        case Verdict.SECOND:
            return 1 - ADJUDICATOR_ACCURACY
        case Verdict.TIE | Verdict.BOTH_BAD | Verdict.SKIP | None:
            return 0.5
        case _:
            assert_never(adjudication.verdict)


def _by_majority(
    votes: Sequence[Verdict], pair: Pair, wanted: int, config: Distribution
) -> tuple[Verdict | None, str]:
    planned = planned_votes(pair.id, pair.purpose, pair.strategy, config)
    verdict = majority(votes)
    if len(votes) < planned:
        return None, f"{len(votes)} of {planned} votes"
    if verdict is not None:
        return verdict, f"{votes.count(verdict)} of {len(votes)} votes agree"
    if len(votes) < wanted:
        return None, f"the first {len(votes)} votes differ, one more is wanted"
    return None, f"no majority among {len(votes)} votes"


def _by_posterior(
    votes: Sequence[Verdict], wanted: int, config: Distribution
) -> tuple[Verdict | None, str]:
    shares = posterior(votes, accuracy=config.vote_accuracy)
    verdict = max(shares, key=lambda v: shares[v])
    sure = f"posterior {shares[verdict]:.2f} after {len(votes)} votes"
    if len(votes) < wanted:
        return None, f"{sure}, {config.stop_at:g} is wanted"
    if config.stop_at is not None and shares[verdict] >= config.stop_at:
        return verdict, sure
    return majority(votes), f"{sure}, and no more votes are asked for"


def settle(store: Store, config: Distribution) -> int:
    """Bring every judged pair's consensus up to date; returns how many changed.

    The desk does this at each vote. A whole pass is for what it could not see: a kill between a
    judgment and its consensus, imported votes, or a changed votes_per_pair.
    """
    with store.connected():
        models = model_names(store)
        events = Counter(
            j.pair_id for j in judging.judgment_events(store) if j.labeler not in models
        )
        current: dict[str, list[Judgment]] = defaultdict(list)
        for judgment in judging.judgments(store):
            if judgment.labeler not in models:
                current[judgment.pair_id].append(judgment)
        known = pairing.consensus_by_pair(store)
        changed = _changed(events, current, known, pairing.pairs(store), config)
        store.append(changed)
    return len(changed)


def model_names(store: Store) -> set[str]:
    """The labelers that are models."""
    return {n for n, who in judging.labelers(store).items() if who.kind is LabelerKind.MODEL}


def _changed(
    events: Mapping[str, int],
    current: Mapping[str, Sequence[Judgment]],
    known: Mapping[str, Consensus],
    pairs: Sequence[Pair],
    config: Distribution,
) -> list[Consensus]:
    now = utc_now()
    changed = []
    for pair in pairs:
        if not events.get(pair.id) or pair.purpose not in SETTLED:
            continue
        fresh = consensus_of(
            pair, current.get(pair.id, ()), events=events[pair.id], config=config, now=now
        )
        old = known.get(pair.id)
        if old is None or replace(old, created_at=now) != fresh:
            changed.append(fresh)
    return changed
