"""What everybody gave, counted in the database."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.records import LabelerKind, Role
from storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """One labeler's counts; shares are left to who shows them.

    judged: present judgments, skips apart. timed: those whose seconds were measured here.
    sided: those that prefer an answer and are known to have been shown on a side.
    vote_pairs: this labeler's votes set against each vote of another person on the same pair. gold: hidden gold pairs that are not retired.
    """

    name: str
    role: Role
    kind: LabelerKind
    active: bool
    judged: int
    skipped: int
    today: int
    median_seconds: float | None
    timed: int
    too_fast: int
    sided: int
    chose_left: int
    flagged: int
    vote_pairs: int
    agreeing: int
    gold_right: int
    gold_total: int
    qualification_right: int
    qualification_total: int
    repeat_same: int
    repeat_total: int
    last_at: datetime | None


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
    """Everybody with an account, busiest first; `people_tallies` says what the arguments mean."""
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
    return [
        Tally(**row | {"role": Role(row["role"]), "kind": LabelerKind(row["kind"])}) for row in rows
    ]


def days(store: Store, *, since: datetime) -> list[Day]:
    """Everybody's work by day."""
    rows: list[dict[str, Any]] = store.query("people_days", since=since)
    return [Day(**row) for row in rows]


def votes_since(store: Store, *, since: datetime) -> tuple[int, datetime | None]:
    """Votes of people since then, and when the first of all was given."""
    row: dict[str, Any] = store.query("votes_between", since=since)[0]
    return int(row["votes"]), row["first_at"]


def votes_growth(store: Store, *, points: int = 200) -> list[tuple[datetime, int]]:
    """When people's votes had grown to how many, at about so many points, the last included."""
    rows: list[dict[str, Any]] = store.query("votes_growth", points=points)
    return [(row["created_at"], int(row["votes"])) for row in rows]
