"""A table of votes (storage.judgments.votes) as arrays."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from annotate.stats.estimate import Floats, Ints
from annotate.stats.votes import Votes, degree_codes, verdict_codes, votes_of
from storage.records import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class VotesTable:
    """The votes, and what their codes of pairs and labelers stand for.

    first_left_N: 1 where the vote's labeler saw the pair's first answer on the left, 0 on the right,
    nan where nobody knows.
    """

    votes: Votes
    pair_ids: list[str]
    labelers: list[str]
    first_left_N: Floats


def codes_of(column: pa.ChunkedArray) -> tuple[Ints, list[str]]:
    """Places in the column's distinct values, and these in ascending order."""
    encoded = pc.dictionary_encode(column.combine_chunks())
    values: list[str] = encoded.dictionary.to_pylist()
    order = sorted(range(len(values)), key=values.__getitem__)
    place = np.empty(len(values), dtype=np.int64)
    place[order] = np.arange(len(values))
    return place[np.asarray(encoded.indices)], [values[i] for i in order]


def votes_of_table(table: pa.Table) -> VotesTable:
    """All rows of the table; of several of one labeler on one pair the last counts."""
    pair_N, pair_ids = codes_of(table["pair_id"])
    labeler_N, labelers = codes_of(table["labeler"])
    verdict_N, verdicts = codes_of(table["verdict"])
    strength_N, strengths = codes_of(pc.fill_null(table["strength"].cast(pa.string()), ""))
    side_N, sides = codes_of(pc.fill_null(table["first_side"].cast(pa.string()), ""))
    degree = degree_codes([s or None for s in strengths])
    known = {Side.LEFT.value: 1.0, Side.RIGHT.value: 0.0}
    first_left = np.array([known.get(s, np.nan) for s in sides], dtype=np.float64)
    votes = votes_of(
        pair_N, labeler_N, verdict_codes(verdicts)[verdict_N], degree_N=degree[strength_N]
    )
    return VotesTable(
        votes=votes,
        pair_ids=pair_ids,
        labelers=labelers,
        first_left_N=first_left[side_N][votes.kept_N],
    )
