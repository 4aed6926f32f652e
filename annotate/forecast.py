"""How many votes are still wanted, and when they will be in at the present pace."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from annotate.config import Distribution
from annotate.consensus import votes_wanted
from storage import pairs as pairing
from storage import people
from storage.records import Consensus, Pair, Purpose, Verdict
from storage.store import Store, utc_now

WINDOW_HOURS = 24.0  # a day and a night, so that the pace holds for the days to come


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Votes still wanted and people's pace over the last day; hours is None without a pace."""

    wanted: int
    per_hour: float
    hours: float | None


def still_wanted(
    pairs: Sequence[Pair], standing: Mapping[str, Consensus], config: Distribution
) -> int:
    """Votes that training and evaluation pairs still want; tie-breakers only once they are due."""
    total = 0
    for pair in pairs:
        if pair.purpose not in (Purpose.TRAIN, Purpose.EVALUATION):
            continue
        verdicts = _verdicts(standing[pair.id]) if pair.id in standing else []
        total += max(0, votes_wanted(verdicts, pair, config) - len(verdicts))
    return total


def wanted_under(store: Store, *configs: Distribution) -> list[int]:
    """Votes still wanted under each of these settings."""
    with store.connected():
        pairs, standing = pairing.pairs(store), pairing.consensus_by_pair(store)
    return [still_wanted(pairs, standing, config) for config in configs]


def forecast(store: Store, config: Distribution) -> Forecast:
    """When labeling will be finished if people go on as in the last day."""
    (wanted,) = wanted_under(store, config)
    now = utc_now()
    votes, first = people.votes_since(store, since=now - timedelta(hours=WINDOW_HOURS))
    if first is None or not votes:
        return Forecast(wanted=wanted, per_hour=0.0, hours=None)
    begun = (now - first).total_seconds() / 3600
    per_hour = votes / min(WINDOW_HOURS, max(begun, 0.05))
    return Forecast(wanted=wanted, per_hour=per_hour, hours=wanted / per_hour)


def _verdicts(consensus: Consensus) -> list[Verdict]:
    return [
        verdict
        for verdict, votes in (
            (Verdict.FIRST, consensus.first_votes),
            (Verdict.SECOND, consensus.second_votes),
            (Verdict.TIE, consensus.tie_votes),
            (Verdict.BOTH_BAD, consensus.both_bad_votes),
        )
        for _ in range(votes)
    ]
