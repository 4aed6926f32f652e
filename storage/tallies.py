"""What the database counts of votes, for consensus: people's and, apart from them, models'."""

from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVotes:
    """How many models gave each verdict on one pair."""

    verdicts: Mapping[Verdict, int]


def model_votes(store: Store) -> dict[str, ModelVotes]:
    """What models said of training and evaluation pairs, by pair id; skips are not counted."""
    verdicts = (Verdict.FIRST, Verdict.SECOND, Verdict.TIE, Verdict.BOTH_BAD)
    return {
        str(row["pair_id"]): ModelVotes(
            verdicts={v: int(str(row[f"{v.value}_votes"])) for v in verdicts}
        )
        for row in store.query("model_tallies")
    }
