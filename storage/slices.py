"""Reading what agreement can be sliced by, and what a report of it says beside the figures."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from storage.records import Purpose
from storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How many judged pairs stand alike. verdict: None while unsettled."""

    method: str
    settled: bool
    closed: bool
    verdict: str | None
    pairs: int


def pair_facts(store: Store, *, purposes: Sequence[Purpose]) -> pa.Table:
    """One row per judged pair, by id.

    Columns: pair_id, tags, and first_ and second_ of policy, temperature and chars.
    """
    return store.table("pair_facts", purposes=[p.value for p in purposes])


def vote_guidelines(store: Store) -> pa.Table:
    """The votes given under guidelines. Columns: pair_id, labeler, version (from 1)."""
    return store.table("vote_guidelines")


def judgments_not_counted(store: Store) -> dict[str, int]:
    """People's present judgments that are no votes on pairs to learn from, by reason."""
    return {name: int(str(n)) for name, n in store.query("judgments_not_counted")[0].items()}


def consensus_counts(store: Store) -> list[Standing]:
    """The judged pairs to learn from, the most frequent standing first."""
    return [
        Standing(
            method=str(row["method"]),
            settled=bool(row["settled"]),
            closed=bool(row["closed"]),
            verdict=None if row["verdict"] is None else str(row["verdict"]),
            pairs=int(str(row["pairs"])),
        )
        for row in store.query("consensus_counts")
    ]


def prompt_excerpts(
    store: Store, pair_ids: Sequence[str], *, chars: int
) -> dict[str, tuple[int, str]]:
    """Round, and the beginning of the prompt's last turn, by pair id."""
    rows = store.query("prompt_excerpts", pair_ids=list(pair_ids), chars=chars)
    return {str(r["pair_id"]): (int(str(r["round"])), str(r["excerpt"])) for r in rows}
