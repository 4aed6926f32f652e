"""Reading adjudications, the views given before them, and what was written beside them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.adjudication_records import Adjudication, CaseRequest, DiscussionNote, OwnView
from storage.records import Purpose
from storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteCount:
    """What people said of a pair, counted; skips are no votes, though they may carry flags."""

    pair_id: str
    purpose: Purpose
    round: int
    first: int
    second: int
    tie: int
    both_bad: int
    flags: int  # judgments that flag something
    doubted: bool  # sent here because a trained policy contradicts its label
    settled: bool
    closed: bool
    last_at: datetime | None
    excerpt: str  # of the prompt's last message

    @property
    def split(self) -> tuple[int, ...]:
        """Votes per verdict, the most first, those nobody gave left out."""
        votes = (self.first, self.second, self.tie, self.both_bad)
        return tuple(sorted((n for n in votes if n), reverse=True))


def standing(store: Store) -> dict[str, Adjudication]:
    """The decision on each adjudicated pair, by pair id; withdrawn ones are not in it."""
    return {a.pair_id: a for a in store.read(Adjudication, "adjudications_standing")}


def events(store: Store) -> list[Adjudication]:
    """Every decision, changes and withdrawals included, in the order they were made."""
    return store.read(Adjudication, "adjudication_events_all")


def own_views(store: Store) -> dict[tuple[str, str], OwnView]:
    """What adjudicators thought before they saw the votes, by pair id and adjudicator."""
    return {(v.pair_id, v.adjudicator): v for v in store.read(OwnView, "own_views_all")}


def vote_counts(store: Store) -> list[VoteCount]:
    """The pairs that may want an adjudicator: votes differ, a flag, sent here, or decided already."""
    rows: list[dict[str, Any]] = store.query("adjudication_counts")
    return [VoteCount(**row | {"purpose": Purpose(row["purpose"])}) for row in rows]


def all_discussion(store: Store) -> list[DiscussionNote]:
    """What was written beside all cases, oldest first."""
    return store.read(DiscussionNote, "discussion_all")


def case_requests(store: Store) -> dict[str, CaseRequest]:
    """The pairs that were sent to the adjudicators, by pair id."""
    return {r.pair_id: r for r in store.read(CaseRequest, "case_requests_all")}
