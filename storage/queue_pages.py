"""Pairs as a lead looks at them: page by page, one pair's story, and the gold pairs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.records import LabelerKind, Pair, Purpose, Side, Strength, Verdict
from storage.store import Store
from storage.team_records import GoldUse


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """One pair and where it stands; votes are people's, skips apart."""

    id: str
    purpose: Purpose
    round: int
    state: str
    votes: int
    skips: int
    flags: tuple[str, ...]
    reasons: tuple[str, ...]  # for skipping
    last_at: datetime | None
    excerpt: str  # of the prompt's last message


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One judgment row of a pair, in stored order; guideline is a version number from 1."""

    labeler: str
    kind: LabelerKind
    revision: int
    verdict: Verdict
    strength: Strength | None
    withdrawn: bool
    criteria: Mapping[str, str]
    rationale: str
    edited_text: str
    flags: tuple[str, ...]
    seconds: float
    created_at: datetime
    first_side: Side | None
    guideline: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldRow:
    """A gold pair and how many of its answers were not the known one."""

    pair_id: str
    use: GoldUse
    verdict: Verdict
    source: str
    author: str
    active: bool
    explanation: str
    created_at: datetime
    excerpt: str
    answers: int
    failed: int


def queue_page(
    store: Store,
    *,
    state: str | None,
    only: str | None,
    votes_per_pair: int,
    evaluation_votes: int,
    count: int,
    skip: int,
) -> tuple[list[QueueRow], int]:
    """A page of pairs, and how many there are in all."""
    rows: list[dict[str, Any]] = store.query(
        "queue_pairs",
        state=state,
        only=only,
        votes_per_pair=votes_per_pair,
        evaluation_votes=evaluation_votes,
        count=count,
        skip=skip,
    )
    found = []
    pairs = 0
    for row in rows:
        pairs = int(row.pop("pairs"))
        lists = {name: tuple(row[name]) for name in ("flags", "reasons")}
        found.append(
            QueueRow(**row | lists | {"purpose": Purpose(row["purpose"])}),
        )
    return found, pairs


def pair_story(store: Store, pair_id: str) -> list[Said]:
    """Everything that was said about a pair, oldest first."""
    rows: list[dict[str, Any]] = store.query("pair_story", pair_id=pair_id)
    return [
        Said(
            **row
            | {
                "kind": LabelerKind(row["kind"]),
                "verdict": Verdict(row["verdict"]),
                "strength": Strength(row["strength"]) if row["strength"] else None,
                "criteria": json.loads(row["criteria"]),
                "flags": tuple(row["flags"]),
                "first_side": Side(row["first_side"]) if row["first_side"] else None,
            }
        )
        for row in rows
    ]


def pair_by_id(store: Store, pair_id: str) -> Pair | None:
    """One pair; None where there is none of this id."""
    found = store.read(Pair, "pair_by_id", id=pair_id)
    return found[0] if found else None


def gold_rows(store: Store, *, count: int = 200) -> list[GoldRow]:
    """Gold pairs, active ones first, then the most often failed."""
    rows: list[dict[str, Any]] = store.query("gold_pairs", count=count)
    return [
        GoldRow(**row | {"use": GoldUse(row["use"]), "verdict": Verdict(row["verdict"])})
        for row in rows
    ]


def judgments_by_guideline(store: Store) -> dict[str, int]:
    """Judgments that count, by the guidelines' content id; "" had none."""
    return {
        str(row["guideline"]): int(str(row["judgments"]))
        for row in store.query("judgments_by_guideline")
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSort:
    """Pairs alike in purpose, overlap and votes: one of them, how many they are, and the votes."""

    pair: Pair
    pairs: int
    verdicts: tuple[Verdict, ...]

    @property
    def votes(self) -> int:
        return len(self.verdicts)


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputedPair:
    """A judged pair whose voters differ; votes by verdict are people's."""

    pair_id: str
    purpose: Purpose
    round: int
    votes: int
    first_votes: int
    second_votes: int
    tie_votes: int
    both_bad_votes: int
    settled: bool
    closed: bool
    excerpt: str  # of the prompt's last message


def pair_sorts(store: Store, *, overlap_share: float) -> list[PairSort]:
    """All pairs to label, but for adjudicated ones, in sorts; `pairs_by_standing` says which."""
    rows: list[dict[str, Any]] = store.query("pairs_by_standing", overlap_share=overlap_share)
    found = []
    for row in rows:
        votes = [
            (Verdict.FIRST, row.pop("first_votes")),
            (Verdict.SECOND, row.pop("second_votes")),
            (Verdict.TIE, row.pop("tie_votes")),
            (Verdict.BOTH_BAD, row.pop("both_bad_votes")),
        ]
        found.append(
            PairSort(
                pairs=row.pop("pairs"),
                verdicts=tuple(v for v, n in votes for _ in range(n)),
                pair=Pair(**row | {"purpose": Purpose(row["purpose"])}),
            )
        )
    return found


def disputed_pairs(store: Store, *, count: int) -> tuple[list[DisputedPair], int]:
    """The most disputed pairs that nobody adjudicated, and how many disputed ones there are."""
    rows: list[dict[str, Any]] = store.query("disputed_pairs", count=count)
    total = int(rows[0]["disputed"]) if rows else 0
    for row in rows:
        del row["disputed"]
    return [DisputedPair(**row | {"purpose": Purpose(row["purpose"])}) for row in rows], total
