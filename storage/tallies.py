"""What the database counts of votes, for consensus: people's and, apart from them, models'."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from storage.records import IMPORTED_VOTES, Verdict
from storage.store import Store


def tallies(store: Store, *, adjudicated: Sequence[str]) -> pa.Table:
    """One row per pair that votes or an adjudicator decide: people's votes, and its consensus now.

    Columns: pair_id, purpose, strategy, events, first_votes, second_votes, tie_votes, both_bad_votes,
    and the columns of its consensus with `known_` before them, null where it has none.
    adjudicated: pairs that are among them without a vote.
    """
    return store.table("tallies", adjudicated=list(adjudicated))


def agreement_of_two(store: Store) -> dict[bool, tuple[int, int]]:
    """Of the pairs whose first two people both prefer an answer: how many agree, and how many there are.

    By whether the pairs were imported with their votes; without such pairs there is no entry.
    """
    return {
        bool(row["imported"]): (int(str(row["agreeing"])), int(str(row["pairs"])))
        for row in store.query("agreement_of_two", imported=IMPORTED_VOTES)
    }


def votes_of_people(store: Store) -> pa.Table:
    """One row per counting vote of people, in the order of pairs: pair_id, labeler, verdict."""
    return store.table("votes_of_people")


def model_votes(store: Store) -> dict[str, dict[Verdict, int]]:
    """How many models gave each verdict on training and evaluation pairs; skips are not counted."""
    verdicts = (Verdict.FIRST, Verdict.SECOND, Verdict.TIE, Verdict.BOTH_BAD)
    return {
        str(row["pair_id"]): {v: int(str(row[f"{v.value}_votes"])) for v in verdicts}
        for row in store.query("model_tallies")
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """What one person's judgment holds beside a vote; its verdict says which answer was edited."""

    pair_id: str
    verdict: Verdict
    edited_text: str
    flags: tuple[str, ...]


def remarks_of_people(store: Store) -> list[Remark]:
    """Of the counting judgments those with an edited answer or a flag, and the skips."""
    return [
        Remark(
            pair_id=str(row["pair_id"]),
            verdict=Verdict(str(row["verdict"])),
            edited_text=str(row["edited_text"]),
            flags=tuple(row["flags"]) if isinstance(row["flags"], list) else (),
        )
        for row in store.query("remarks_of_people")
    ]
