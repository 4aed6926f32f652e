"""Agreement by what a pair is about, where its answers come from, how long they are, and by time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import assert_never

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from annotate.stats.coefficients import OBSERVED, estimate
from annotate.stats.estimate import Estimate, Ints
from annotate.stats.slicing import (
    PartAgreement,
    Units,
    agreement_by_part,
    holm,
    units_of_pairs,
    units_of_votes,
)
from annotate.stats.votes import Votes
from annotate.votes_table import VotesTable, codes_of
from storage.records import IMPORTED_ROUND

MOST = 40  # slices of one dimension; with more, those with the most votes
FALSE_ALARMS = 0.05  # the chance that any slice at all is said to differ and does not
LEAST_PERIOD = 30  # pairs of one point in time
MOST_PERIODS = 24
LENGTHS, LENGTH_NAMES = (
    (1.25, 2, 4),
    ("up to 1.25 times", "to 2 times", "to 4 times", "over 4 times"),
)
CHARS = (250, 1000, 4000)
CHAR_NAMES = ("up to 250 characters", "to 1,000", "to 4,000", "over 4,000")
TIME_NAMES = ("00 to 06 UTC", "06 to 12 UTC", "12 to 18 UTC", "18 to 24 UTC")


class Dimension(StrEnum):
    """What agreement is sliced by."""

    TAG = "tag"
    ROUND = "round"
    PURPOSE = "purpose"
    POLICY = "policy"
    POLICIES = "policies"  # one against another
    TEMPERATURE = "temperature"
    LENGTH = "length"  # of the longer answer against the shorter
    LONGEST = "longest"
    TIME = "time"  # of day
    GUIDELINES = "guidelines"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One part of the votes; n counts its pairs with two votes or more.

    difference: observed agreement minus that of all others. p_value: of one this large by chance;
    p_adjusted: the same over all slices of all dimensions (Holm); differs: whether that is below
    FALSE_ALARMS.
    """

    slice: str
    votes: int
    n: int
    observed_agreement: Estimate
    observed_agreement_without_ties: Estimate
    alpha_nominal: Estimate
    difference: float | None
    p_value: float | None
    p_adjusted: float | None
    differs: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """By dimension, in its own order. left_out: smaller slices that found no room."""

    by: dict[Dimension, list[Slice]]
    left_out: dict[Dimension, int]
    tested: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The pairs whose last vote came in a stretch of time (UTC)."""

    begin: datetime
    end: datetime
    agreement: Estimate
    agreement_without_ties: Estimate


@dataclass(frozen=True, slots=True)
class _Cut:
    """Where the votes fall: their units, and what the parts are called."""

    units: Units
    names: list[str]
    left_out: int


def slices_of(
    seen: VotesTable, table: pa.Table, facts: pa.Table, guidelines: pa.Table, *, seed: int = 0
) -> Slices:
    """Agreement along every dimension.

    table: the rows that `seen` was made of. facts, guidelines: storage.slices. Pairs that the facts
    don't know are in no slice of what they tell.
    """
    ids = pa.chunked_array([pa.array(seen.pair_ids, pa.string())])
    row_P = _places(ids, facts["pair_id"])
    cuts = {d: _cut(d, seen, table, facts, row_P, guidelines) for d in Dimension}
    found = {d: agreement_by_part(cut.units, seed=seed) for d, cut in cuts.items()}
    tests = {
        (d, i): part.p_value
        for d, parts in found.items()
        for i, part in enumerate(parts)
        if part.p_value is not None
    }
    adjusted = dict(zip(tests, holm(list(tests.values())), strict=True))
    return Slices(
        by={
            d: [
                _slice(name, part, adjusted.get((d, i)))
                for i, (name, part) in enumerate(zip(cuts[d].names, parts, strict=True))
            ]
            for d, parts in found.items()
        },
        left_out={d: cut.left_out for d, cut in cuts.items() if cut.left_out},
        tested=len(tests),
    )


def most_different(slices: Slices, *, least: float = 1.0) -> list[tuple[Dimension, Slice]]:
    """Slices with a test, the least likely by chance first; least: the largest p_adjusted to show."""
    found = [
        (d, one)
        for d, parts in slices.by.items()
        for one in parts
        if one.p_adjusted is not None and one.p_adjusted <= least
    ]
    return sorted(found, key=lambda f: (f[1].p_value or 0.0, -f[1].n))


def over_time(seen: VotesTable, table: pa.Table, *, seed: int = 0) -> list[Period]:
    """Agreement of equal numbers of pairs one after the other, by when their last vote came.

    Empty where all came at one time, or pairs are too few for two points.
    """
    votes = seen.votes
    counts = votes.counts()
    at_N = microseconds(table)[votes.kept_N]
    last_P = np.full(votes.pairs, np.iinfo(np.int64).min)
    np.maximum.at(last_P, votes.pair_N, at_N)
    pairs = np.flatnonzero(counts.sum(axis=1) >= 2)
    pairs = pairs[np.argsort(last_P[pairs], kind="stable")]
    periods = min(MOST_PERIODS, len(pairs) // LEAST_PERIOD)
    if periods < 2 or last_P[pairs[0]] == last_P[pairs[-1]]:
        return []
    return [
        Period(
            begin=_moment(last_P[own[0]]),
            end=_moment(last_P[own[-1]]),
            agreement=estimate(OBSERVED, counts[own], seed=seed),
            agreement_without_ties=estimate(OBSERVED, counts[own, :2], seed=seed),
        )
        for own in np.array_split(pairs, periods)
    ]


def microseconds(table: pa.Table) -> Ints:
    """When each row's vote was given."""
    return np.asarray(table["created_at"].cast(pa.timestamp("us")).cast(pa.int64()))


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(int(at) / 1e6, tz=UTC).replace(tzinfo=None)


def _slice(name: str, part: PartAgreement, adjusted: float | None) -> Slice:
    return Slice(
        slice=name,
        votes=part.votes,
        n=part.observed_agreement.n,
        observed_agreement=part.observed_agreement,
        observed_agreement_without_ties=part.observed_agreement_without_ties,
        alpha_nominal=part.alpha_nominal,
        difference=part.difference,
        p_value=part.p_value,
        p_adjusted=None if adjusted is None else float(adjusted),
        differs=adjusted is not None and bool(adjusted < FALSE_ALARMS),
    )


def _cut(
    dimension: Dimension,
    seen: VotesTable,
    table: pa.Table,
    facts: pa.Table,
    row_P: Ints,
    guidelines: pa.Table,
) -> _Cut:
    votes = seen.votes
    kept_N = votes.kept_N
    match dimension:
        case Dimension.TAG:
            return _tags(votes, facts["tags"], row_P)
        case Dimension.ROUND:
            numbers, code_N = np.unique(np.asarray(table["round"])[kept_N], return_inverse=True)
            names = ["imported" if n == IMPORTED_ROUND else f"round {n}" for n in numbers]
            return _by_pair(votes, _shared_P(votes, code_N), names)
        case Dimension.PURPOSE:
            code_N, names = codes_of(table["purpose"])
            return _by_pair(votes, _shared_P(votes, code_N[kept_N]), names)
        case Dimension.POLICY:
            return _policies(votes, facts, row_P)
        case Dimension.POLICIES:
            low, high = _ends(facts, "policy")
            code_F, names = codes_of(pc.binary_join_element_wise(low, high, " against "))
            return _by_pair(votes, _known_P(code_F, row_P), names)
        case Dimension.TEMPERATURE:
            return _temperatures(votes, facts, row_P)
        case Dimension.LENGTH:
            short, long = (np.asarray(c, dtype=np.float64) for c in _ends(facts, "chars"))
            step_F = np.searchsorted(LENGTHS, long / np.maximum(short, 1))
            return _by_pair(votes, _known_P(step_F, row_P), LENGTH_NAMES)
        case Dimension.LONGEST:
            _, long = (np.asarray(c, dtype=np.float64) for c in _ends(facts, "chars"))
            return _by_pair(votes, _known_P(np.searchsorted(CHARS, long), row_P), CHAR_NAMES)
        case Dimension.TIME:
            quarter_N = microseconds(table)[kept_N] // (6 * 3_600_000_000) % 4
            return _by_vote(votes, quarter_N, TIME_NAMES)
        case Dimension.GUIDELINES:
            return _guidelines(seen, guidelines)
        case _:
            assert_never(dimension)


def _tags(votes: Votes, tags: pa.ChunkedArray, row_P: Ints) -> _Cut:
    lists = tags.combine_chunks()
    code_T, names = codes_of(pa.chunked_array([pc.list_flatten(lists)]))
    fact_T = np.asarray(pc.list_parent_indices(lists))
    pair_F = np.full(len(lists), -1, dtype=np.int64)
    pair_F[row_P[row_P >= 0]] = np.flatnonzero(row_P >= 0)
    known = pair_F[fact_T] >= 0
    once = np.unique(np.column_stack([pair_F[fact_T], code_T])[known], axis=0)
    return _cut_of(votes, once[:, 0], once[:, 1], names)


def _policies(votes: Votes, facts: pa.Table, row_P: Ints) -> _Cut:
    """A pair of one policy's answers is in its slice once."""
    chunks = [*facts["first_policy"].chunks, *facts["second_policy"].chunks]
    code_F, names = codes_of(pa.chunked_array(chunks, type=pa.string()))
    first, second = (_known_P(c, row_P) for c in np.split(code_F, 2))
    pair = np.arange(votes.pairs)
    other = second != first
    parts = np.concatenate([first, second[other]])
    return _cut_of(votes, np.concatenate([pair, pair[other]]), parts, names)


def _temperatures(votes: Votes, facts: pa.Table, row_P: Ints) -> _Cut:
    ends_F_2 = np.column_stack(
        [np.asarray(c, dtype=np.float64) for c in _ends(facts, "temperature")]
    )
    known_F = ~np.isnan(ends_F_2).any(axis=1)
    found, code = np.unique(ends_F_2[known_F].round(6), axis=0, return_inverse=True)
    code_F = np.full(len(ends_F_2), -1, dtype=np.int64)
    code_F[known_F] = code.ravel()
    names = [f"both {a:g}" if a == b else f"{a:g} and {b:g}" for a, b in found]
    return _by_pair(votes, _known_P(code_F, row_P), names)


def _guidelines(seen: VotesTable, guidelines: pa.Table) -> _Cut:
    """Votes under no guidelines are a part of their own."""
    votes = seen.votes
    pair_G = _places(
        guidelines["pair_id"], pa.chunked_array([pa.array(seen.pair_ids, pa.string())])
    )
    labeler_G = _places(
        guidelines["labeler"], pa.chunked_array([pa.array(seen.labelers, pa.string())])
    )
    known = (pair_G >= 0) & (labeler_G >= 0)
    key_G = (pair_G * max(votes.labelers, 1) + labeler_G)[known]
    version_G = np.asarray(guidelines["version"].cast(pa.int64()))[known]
    order = np.argsort(key_G)
    key_G, version_G = key_G[order], version_G[order]
    key_N = votes.pair_N * max(votes.labelers, 1) + votes.labeler_N
    version_N = np.zeros(len(votes), dtype=np.int64)
    if len(key_G):
        at_N = np.minimum(np.searchsorted(key_G, key_N), len(key_G) - 1)
        version_N = np.where(key_G[at_N] == key_N, version_G[at_N], 0)
    numbers, code_N = np.unique(version_N, return_inverse=True)
    return _by_vote(votes, code_N, [f"version {n}" if n else "none" for n in numbers])


def _ends(facts: pa.Table, column: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """The lesser and the greater of the two answers'; null where either is."""
    both = facts[f"first_{column}"], facts[f"second_{column}"]
    return (
        pc.min_element_wise(*both, skip_nulls=False),
        pc.max_element_wise(*both, skip_nulls=False),
    )


def _places(values: pa.ChunkedArray, known: pa.ChunkedArray) -> Ints:
    """Where each value stands among those known, -1 for one that does not."""
    found = pc.fill_null(pc.index_in(values, value_set=known.combine_chunks()), -1)
    return np.asarray(found, dtype=np.int64)


def _shared_P(votes: Votes, code_N: Ints) -> Ints:  # noqa: N802 the shape is in the name
    """What all of a pair's votes share."""
    code_P = np.full(votes.pairs, -1, dtype=np.int64)
    code_P[votes.pair_N] = code_N
    return code_P


def _known_P(code_F: Ints, row_P: Ints) -> Ints:  # noqa: N802 the shape is in the name
    """The pairs' codes from those of the facts; -1 where there is none."""
    return np.append(code_F, -1)[row_P]


def _by_pair(votes: Votes, code_P: Ints, names: Sequence[str]) -> _Cut:
    return _cut_of(votes, np.arange(votes.pairs), code_P, names)


def _by_vote(votes: Votes, code_N: Ints, names: Sequence[str]) -> _Cut:
    used, part_N = np.unique(code_N, return_inverse=True)
    units = units_of_votes(votes, part_N, len(used))
    return _Cut(units, [names[i] for i in used], 0)


def _cut_of(votes: Votes, pair_R: Ints, code_R: Ints, names: Sequence[str]) -> _Cut:
    """Parts of whole pairs: those with most pairs, in the order of their codes; -1 is no part."""
    has = code_R >= 0
    pair_R, code_R = pair_R[has], code_R[has]
    pairs_S = np.bincount(code_R, minlength=len(names))
    used = np.flatnonzero(pairs_S)
    shown = np.sort(used[np.argsort(-pairs_S[used], kind="stable")][:MOST])
    place = np.full(len(names), -1, dtype=np.int64)
    place[shown] = np.arange(len(shown))
    part_R = place[code_R]
    kept = part_R >= 0
    units = units_of_pairs(votes, pair_R[kept], part_R[kept], len(shown))
    return _Cut(units, [names[i] for i in shown], len(used) - len(shown))
