"""What a pair's judgments add up to: majority, with ties and both-bad kept apart.

Two agreeing votes settle a pair; where the first ones differ, one more is asked for. A pair with
no majority stays unsettled and says so.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from annotate.config import AnnotateConfig
from storage import judgments as judging
from storage import pairs as pairing
from storage.records import Consensus, Judgment, Purpose, Verdict
from storage.store import Store, utc_now

METHOD = "majority"


def majority(verdicts: Sequence[Verdict]) -> Verdict | None:
    """The verdict of more than half of the votes, skips left out; None if there is none."""
    counted = [v for v in verdicts if v is not Verdict.SKIP]
    if not counted:
        return None
    verdict, votes = Counter(counted).most_common(1)[0]
    return verdict if 2 * votes > len(counted) else None


def votes_wanted(verdicts: Sequence[Verdict], purpose: Purpose, config: AnnotateConfig) -> int:
    """How many votes the pair should end up with, given those it has (skips left out)."""
    planned = config.votes_for(purpose)
    undecided = len(verdicts) >= planned and majority(verdicts) is None
    return planned + (1 if config.tie_breaker and undecided else 0)


def consensus_of(
    pair_id: str,
    current: Sequence[Judgment],
    *,
    purpose: Purpose,
    events: int,
    config: AnnotateConfig,
    now: datetime,
) -> Consensus:
    """The consensus of a pair's present judgments; their order does not matter.

    probability_first is the mean of a Beta(1, 1) prior updated by the votes, a tie counting half
    for each side: two of two votes (.75) are weaker evidence than three of three (.8).
    """
    votes = [j.verdict for j in current if j.verdict is not Verdict.SKIP]
    count: Counter[Verdict] = Counter(votes)
    first, second, tie = (count[v] for v in (Verdict.FIRST, Verdict.SECOND, Verdict.TIE))
    verdict = majority(votes)
    planned = config.votes_for(purpose)
    if len(votes) < planned:
        verdict, reason = None, f"{len(votes)} of {planned} votes"
    elif verdict is not None:
        reason = f"{count[verdict]} of {len(votes)} votes agree"
    elif len(votes) < votes_wanted(votes, purpose, config):
        reason = f"the first {len(votes)} votes differ, one more is wanted"
    else:
        reason = f"no majority among {len(votes)} votes"
    return Consensus(
        pair_id=pair_id,
        verdict=verdict,
        probability_first=(first + tie / 2 + 1) / (first + second + tie + 2),
        votes=len(votes),
        first_votes=first,
        second_votes=second,
        tie_votes=tie,
        both_bad_votes=count[Verdict.BOTH_BAD],
        method=METHOD,
        settled=verdict is not None,
        reason=reason,
        closed=len(votes) >= votes_wanted(votes, purpose, config),
        events=events,
        created_at=now,
    )


def settle(store: Store, config: AnnotateConfig) -> int:
    """Bring every judged pair's consensus up to date; returns how many changed.

    The desk does this at each vote. A whole pass is for what it could not see: a kill between a
    judgment and its consensus, or a changed votes_per_pair.
    """
    with store.connected():
        events = Counter(j.pair_id for j in judging.judgment_events(store))
        current: dict[str, list[Judgment]] = defaultdict(list)
        for judgment in judging.judgments(store):
            current[judgment.pair_id].append(judgment)
        known = pairing.consensus_by_pair(store)
        purposes = {p.id: p.purpose for p in pairing.pairs(store)}
        now = utc_now()
        changed = []
        for pair_id, count in events.items():
            fresh = consensus_of(
                pair_id,
                current[pair_id],
                purpose=purposes[pair_id],
                events=count,
                config=config,
                now=now,
            )
            old = known.get(pair_id)
            if old is None or replace(old, created_at=now) != fresh:
                changed.append(fresh)
        store.append(changed)
    return len(changed)
