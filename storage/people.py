"""What everybody gave, counted in the database."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """One labeler's counts, at first none; shares are left to who shows them.

    judged: present judgments, skips apart. timed: those whose seconds were measured here.
    sided: those that prefer an answer and are known to have been shown on a side.
    vote_pairs: this labeler's votes set against each vote of another person on the same pair. gold: hidden gold pairs that are not retired.
    """

    name: str
    judged: int = 0
    skipped: int = 0
    today: int = 0
    median_seconds: float | None = None
    timed: int = 0
    too_fast: int = 0
    sided: int = 0
    chose_left: int = 0
    flagged: int = 0
    vote_pairs: int = 0
    agreeing: int = 0
    gold_right: int = 0
    gold_total: int = 0
    qualification_right: int = 0
    qualification_total: int = 0
    repeat_same: int = 0
    repeat_total: int = 0
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One labeler's work on one day (UTC)."""

    labeler: str
    day: datetime
    judged: int
    median_seconds: float


def tallies(
    store: Store,
    *,
    today: datetime,
    fast_seconds: float,
    fast_chars: float,
    votes_per_pair: int,
    evaluation_votes: int,
    overlap_share: float,
    every_vote: bool,
) -> list[Tally]:
    """Everybody with an account; `people_tallies` says what the arguments mean."""
    rows: list[dict[str, Any]] = store.query(
        "people_tallies",
        today=today,
        fast_seconds=fast_seconds,
        fast_chars=fast_chars,
        votes_per_pair=votes_per_pair,
        evaluation_votes=evaluation_votes,
        overlap_share=overlap_share,
        every_vote=every_vote,
    )
    return [Tally(**row) for row in rows]


def days(store: Store, *, since: datetime) -> list[Day]:
    """Everybody's work by day."""
    rows: list[dict[str, Any]] = store.query("people_days", since=since)
    return [Day(**row) for row in rows]


def vote_times(store: Store) -> pa.Table:
    """created_at of each counting vote of people on pairs to label, oldest first."""
    return store.table("vote_times")


def votes_since(times: pa.Table, *, since: datetime) -> tuple[int, datetime | None]:
    """Votes given since then, and when the first of all was given."""
    at = times["created_at"]
    if not len(at):
        return 0, None
    return pc.sum(pc.greater_equal(at, since)).as_py(), at[0].as_py()


def votes_growth(times: pa.Table, *, points: int = 200) -> list[tuple[datetime, int]]:
    """When the votes had grown to how many, at about so many points, the last included."""
    total = times.num_rows
    places = sorted({*range(0, total, max(1, total // points)), *range(total)[-1:]})
    reached = times["created_at"].take(pa.array(places, type=pa.int64())).to_pylist()
    return [(at, place + 1) for at, place in zip(reached, places, strict=True)]
