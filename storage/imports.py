"""What an import asks the store: which of many ids are new, and what was imported before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from storage.codec import Record, decode
from storage.records import (
    IMPORTED_ROUND,
    IMPORTED_VOTES,
    Judgment,
    Pair,
    Policy,
    Presentation,
    Prompt,
    Response,
    Verdict,
)
from storage.store import Store

_UNKNOWN: dict[type, str] = {
    Prompt: "unknown_prompts",
    Policy: "unknown_policies",
    Response: "unknown_responses",
    Pair: "unknown_pairs",
    Presentation: "unknown_presentations",
    Judgment: "unknown_judgments",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedSummary:
    """Counts of everything imported; for_labeling: pairs that came without votes."""

    prompts: int
    responses: int
    pairs: int
    for_labeling: int
    settled: int
    votes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """A pair with judgments that its consensus has not seen: people's votes by verdict."""

    pair: Pair
    events: int
    votes: Mapping[Verdict, int]


def unknown_ids(store: Store, kind: type[Record], ids: Sequence[str]) -> set[str]:
    """Which of these ids are not stored; the database compares, so many ids are no burden."""
    if not ids:
        return set()
    return {str(row["id"]) for row in store.query(_UNKNOWN[kind], ids=list(ids))}


def last_revisions(store: Store, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """The highest revision stored per (pair, labeler) among these."""
    if not keys:
        return {}
    found = store.query(
        "last_revisions",
        pair_ids=[pair_id for pair_id, _ in keys],
        labelers=[labeler for _, labeler in keys],
    )
    return {(str(row["pair_id"]), str(row["labeler"])): int(str(row["revision"])) for row in found}


def first_responses(store: Store) -> dict[str, str]:
    """The first response of every pair that came with its votes, by pair id."""
    found = store.query("imported_firsts", strategy=IMPORTED_VOTES)
    return {str(row["id"]): str(row["first"]) for row in found}


def imported_policies(store: Store) -> list[Policy]:
    """Where imported answers come from."""
    return store.read(Policy, "imported_policies")


def imported_summary(store: Store) -> ImportedSummary:
    """How much was imported, and what has become of it."""
    (row,) = store.query("imported_summary", round=IMPORTED_ROUND, votes_strategy=IMPORTED_VOTES)
    return ImportedSummary(**{name: int(str(value)) for name, value in row.items()})


def unsettled_imports(store: Store) -> list[Unsettled]:
    """Pairs that came with their votes and whose consensus is behind them."""
    verdicts = (Verdict.FIRST, Verdict.SECOND, Verdict.TIE, Verdict.BOTH_BAD)
    table = store.table("unsettled_imports", strategy=IMPORTED_VOTES)
    events, *counts = (
        table[name].to_pylist() for name in ("events", *(f"{v.value}_votes" for v in verdicts))
    )
    rows = zip(decode(Pair, table), events, zip(*counts, strict=True), strict=True)
    return [
        Unsettled(pair=pair, events=n, votes=dict(zip(verdicts, given, strict=True)))
        for pair, n, given in rows
    ]
