"""What a pair's judgments add up to: a verdict or none, with ties and both-bad kept apart.

By majority, two agreeing votes settle a pair; where the first ones differ, one more is asked for. A
pair with no majority stays unsettled and says so. With `stop_at`, votes are asked for until the
posterior of one verdict reaches it. With `consensus = "dawid_skene"` a pair is settled where the
model of who says what is sure enough. An adjudicator's decision goes before the votes; models'
judgments are kept beside people's and never counted here.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import cache, partial
from typing import NamedTuple, Protocol

import numpy as np

from annotate.accuracy import Accuracy, coded_votes, project_accuracy
from annotate.config import ConsensusRule, Distribution
from annotate.label_model import LabelModel
from annotate.outcome import Outcome, Tally, adjudicated, alike
from annotate.stats.consensus_model import probability_first
from annotate.stats.votes import VERDICTS
from storage import adjudications
from storage.adjudication_records import Adjudication
from storage.records import (
    IMPORTED_VOTES,
    Consensus,
    Pair,
    Purpose,
    Verdict,
)
from storage.store import Store, utc_now
from storage.tallies import tallies, votes_of_people
from storage.words import many

POSTERIOR = "posterior"  # the method of majority with stop_at
SETTLED = (Purpose.TRAIN, Purpose.EVALUATION)  # gold pairs and repeats are not decided by votes


class Said(Protocol):
    """What a consensus looks at of a judgment: who said what."""

    @property
    def labeler(self) -> str: ...
    @property
    def verdict(self) -> Verdict: ...


class Word(NamedTuple):
    """No more than that."""

    labeler: str
    verdict: Verdict


def majority(verdicts: Sequence[Verdict]) -> Verdict | None:
    """The verdict of more than half of the votes, skips left out; None if there is none."""
    counted = [v for v in verdicts if v is not Verdict.SKIP]
    return next((v for v in set(counted) if 2 * counted.count(v) > len(counted)), None)


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
            overlap = config.overlap_share == 1 or in_overlap(pair_id, share=config.overlap_share)
            return config.votes_per_pair if overlap else 1


def votes_wanted(verdicts: Sequence[Verdict], pair: Pair, config: Distribution) -> int:
    """How many votes the pair should end up with, given those it has (skips left out)."""
    if pair.strategy == IMPORTED_VOTES:
        return len(verdicts)  # it came with its votes; nobody is asked again
    planned = planned_votes(pair.id, pair.purpose, pair.strategy, config)
    return _wanted(verdicts, planned, config)


def _wanted(verdicts: Sequence[Verdict], planned: int, config: Distribution) -> int:
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
    current: Sequence[Said],
    *,
    events: int,
    config: Distribution,
    now: datetime,
    adjudication: Adjudication | None = None,
    accuracy: Accuracy | None = None,
) -> Consensus:
    """The consensus of people's present judgments on a pair; their order does not matter.

    adjudication: the standing decision on the pair, which goes before its votes.
    accuracy: what the project's votes are worth; the settings' vote_accuracy where it is not given.
    probability_first is that the first answer is the better one, if every vote is right as often as
    the project's are: at .8, .94 after two of two votes and .98 after three of three. Ties and
    both-bad speak for neither answer.
    """
    votes = [j for j in current if j.verdict is not Verdict.SKIP]
    count = Counter(j.verdict for j in votes)
    tally = Tally(*(count[v] for v in VERDICTS))
    if adjudication is not None:
        outcome = adjudicated(adjudication)
    else:
        accuracy = accuracy or Accuracy.prior(config.vote_accuracy)
        chances = None
        if config.consensus is ConsensusRule.DAWID_SKENE and accuracy.model is not None:
            said = ((j.labeler, j.verdict) for j in votes)
            chances = accuracy.model.posterior(said).tolist()
        outcome = outcome_of(
            tally,
            planned=planned_votes(pair.id, pair.purpose, pair.strategy, config),
            imported=pair.strategy == IMPORTED_VOTES,
            config=config,
            accuracy=accuracy,
            chances=chances,
        )
    return outcome.consensus(pair.id, tally, events=events, now=now)


def outcome_of(
    tally: Tally,
    *,
    planned: int,
    imported: bool,
    config: Distribution,
    accuracy: Accuracy,
    chances: Sequence[float] | None = None,
) -> Outcome:
    """What votes come to without an adjudicator.

    chances: of each verdict by Dawid and Skene's model; without it one coin of the settings'
    vote_accuracy stands in where that rule is in force.
    """
    votes = tally.votes()
    wanted = len(votes) if imported else _wanted(votes, planned, config)
    if chances is None:
        agreement = accuracy.imported if imported else accuracy.own
        lead = np.array([float(tally.first - tally.second)])
        first = float(probability_first(lead, np.zeros(1), agreement=agreement)[0])
    else:
        first = chances[0] / (chances[0] + chances[1])
    method = POSTERIOR if config.stop_at is not None and planned > 1 else "majority"
    if config.consensus is ConsensusRule.DAWID_SKENE:
        method = config.consensus.value
        if chances is None:
            shares = posterior(votes, accuracy=config.vote_accuracy)
            chances = [shares[v] for v in VERDICTS]
        verdict, reason = _by_model(tally, chances, planned, wanted, config)
    elif method == POSTERIOR:
        verdict, reason = _by_posterior(votes, wanted, config)
    else:
        verdict, reason = _by_majority(votes, planned, wanted)
    return Outcome(
        verdict=verdict,
        probability_first=first,
        method=method,
        settled=verdict is not None,
        reason=reason,
        closed=len(votes) >= wanted,
    )


def _by_majority(votes: Sequence[Verdict], planned: int, wanted: int) -> tuple[Verdict | None, str]:
    verdict = majority(votes)
    if len(votes) < planned:
        return None, f"{len(votes)} of {many(planned, 'vote')}"
    if verdict is not None:
        return (
            verdict,
            f"{votes.count(verdict)} of {many(len(votes), 'vote agrees', 'votes agree')}",
        )
    if len(votes) < wanted:
        return None, f"the first {len(votes)} votes differ, one more is wanted"
    return None, f"no majority among {many(len(votes), 'vote')}"


def _by_posterior(
    votes: Sequence[Verdict], wanted: int, config: Distribution
) -> tuple[Verdict | None, str]:
    shares = posterior(votes, accuracy=config.vote_accuracy)
    verdict = max(shares, key=lambda v: shares[v])
    sure = f"posterior {shares[verdict]:.2f} after {many(len(votes), 'vote')}"
    if len(votes) < wanted:
        return None, f"{sure}, {config.stop_at:g} is wanted"
    if config.stop_at is not None and shares[verdict] >= config.stop_at:
        return verdict, sure
    return majority(votes), f"{sure}, and no more votes are asked for"


def _by_model(
    tally: Tally, chances: Sequence[float], planned: int, wanted: int, config: Distribution
) -> tuple[Verdict | None, str]:
    n = sum(tally)
    if n < planned:
        return None, f"{n} of {many(planned, 'vote')}"
    best = max(range(len(chances)), key=chances.__getitem__)
    sure = f"posterior {chances[best]:.2f} by Dawid-Skene after {many(n, 'vote')}"
    if chances[best] < config.settle_at:
        end = "" if n < wanted else ", and no more votes are asked for"
        return None, f"{sure}, {config.settle_at:g} is wanted{end}"
    if n < wanted:
        return None, f"{sure}, {many(wanted, 'vote is wanted', 'votes are wanted')}"
    if not tally[best]:
        return None, f"{sure} of a verdict that nobody gave"
    return VERDICTS[best], sure


def settle(store: Store, config: Distribution, *, accuracy: Accuracy | None = None) -> int:
    """Bring every judged pair's consensus up to date; returns how many changed.

    The desk does this at each vote, with the accuracy known when it began. A whole pass is for what
    it could not see: what all votes together say of one, a kill between a judgment and its
    consensus, imported votes, an adjudication, changed settings. A probability that moved by
    outcome.MOVED or less is left as it is.
    """
    now = utc_now()
    with store.connected():
        known = accuracy or project_accuracy(store, config)
        decisions = adjudications.standing(store)
        chances = _chances(store, known.model) if known.model is not None else {}
        changed = []

        for row in alike(tallies(store, adjudicated=list(decisions))):
            imported = row.strategy == IMPORTED_VOTES
            of_votes = cache(
                partial(outcome_of, row.tally, imported=imported, config=config, accuracy=known)
            )
            differs = cache(row.differs)
            for pair_id in row.pair_ids:
                if pair_id in decisions:
                    outcome = adjudicated(decisions[pair_id])
                else:
                    planned = planned_votes(pair_id, row.purpose, row.strategy, config)
                    outcome = of_votes(planned=planned, chances=chances.get(pair_id))
                if differs(outcome):
                    changed.append(
                        outcome.consensus(pair_id, row.tally, events=row.events, now=now)
                    )
        changed.sort(key=lambda c: c.pair_id)
        store.append(changed)
    return len(changed)


def _chances(store: Store, model: LabelModel) -> dict[str, tuple[float, ...]]:
    """Of each verdict by the model, per pair with votes."""
    votes, pairs, labelers = coded_votes(votes_of_people(store))
    found = map(tuple, model.posteriors(votes, labelers).tolist())
    return dict(zip(pairs, found, strict=True))
