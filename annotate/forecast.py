"""How many votes are still wanted, and when they will be in at the present pace."""

from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa

from annotate.config import Distribution
from annotate.consensus import votes_wanted
from storage import people
from storage.queue_pages import pair_sorts
from storage.store import Store, utc_now

WINDOW_HOURS = 24.0  # a day and a night, so that the pace holds for the days to come


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Votes still wanted and people's pace over the last day; hours is None without a pace."""

    wanted: int
    per_hour: float
    hours: float | None


def wanted_under(store: Store, *configs: Distribution) -> list[int]:
    """Votes that training and evaluation pairs still want under each of these settings.

    Tie-breakers count only once they are due. Worked out by sorts of pairs, of which there are few.
    """
    with store.connected():
        return [
            sum(
                sort.pairs * max(0, votes_wanted(sort.verdicts, sort.pair, config) - sort.votes)
                for sort in pair_sorts(store, overlap_share=config.overlap_share)
            )
            for config in configs
        ]


def forecast(store: Store, config: Distribution, *, times: pa.Table) -> Forecast:
    """When labeling will be finished if people go on as in the last day.

    times: storage.people.vote_times.
    """
    (wanted,) = wanted_under(store, config)
    now = utc_now()
    votes, first = people.votes_since(times, since=now - timedelta(hours=WINDOW_HOURS))
    if first is None or not votes:
        return Forecast(wanted=wanted, per_hour=0.0, hours=None)
    begun = (now - first).total_seconds() / 3600
    per_hour = votes / min(WINDOW_HOURS, max(begun, 0.05))
    return Forecast(wanted=wanted, per_hour=per_hour, hours=wanted / per_hour)
