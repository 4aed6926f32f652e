"""Who agrees with whom: labeler by labeler, each against the rest, each with themselves."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from annotate.stats.estimate import (
    MIN_PAIRS,
    RESAMPLES,
    Estimate,
    Floats,
    Ints,
    estimate_of,
    kinds_of,
    ratio_of,
)
from annotate.stats.votes import VERDICTS, Votes, meeting_votes
from storage.intervals import wilson

K = len(VERDICTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meetings:
    """Labelers who have judged the same pairs; one row per two labelers who met.

    one_M < other_M are labeler codes; table_M_V_V counts pairs by the verdict of one and of other.
    """

    one_M: Ints
    other_M: Ints
    table_M_V_V: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelerMatrix:
    """A heat map's data, symmetric; nan where two labelers share too few pairs, and on the diagonal.

    labeler_L: whose rows these are, by code in ascending order.
    """

    labeler_L: Ints
    shared_L_L: Ints
    agreement_L_L: Floats
    kappa_L_L: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class AgainstRest:
    """One labeler against everybody else on the same pairs.

    agreement: share of vote pairs with others that agree; its n counts the pairs shared with others.
    kappa: the same beyond chance, from their own and the others' verdicts; None where undefined.
    """

    labeler: int
    votes: int
    vote_pairs: int
    agreeing: int  # of the vote pairs
    agreement: Estimate
    kappa: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """A labeler's second view of their own pairs: the upper bound of agreement with others.

    same: the share with the same verdict both times, with Wilson's 95 % interval.
    turned: repeats on which the preferred answer changed over; where the sides were swapped in
    between, that is what a side bias looks like.
    """

    labeler: int
    same: Estimate
    turned: int


def meetings_of(votes: Votes) -> Meetings:
    """Count the verdicts of every two labelers who share a pair."""
    earlier, later = meeting_votes(votes.pair_N)
    # Sorted by labeler within a pair, so the earlier vote is the lower code's.
    who = votes.labeler_N[earlier] * votes.labelers + votes.labeler_N[later]
    met, row_M = np.unique(who, return_inverse=True)
    cell = (row_M * K + votes.verdict_N[earlier]) * K + votes.verdict_N[later]
    table = np.bincount(cell, minlength=len(met) * K * K).reshape(len(met), K, K)
    return Meetings(
        one_M=met // max(votes.labelers, 1),
        other_M=met % max(votes.labelers, 1),
        table_M_V_V=table.astype(np.float64),
    )


def cohen_kappa(table_V_V: Floats) -> Floats:
    """Cohen's kappa (Cohen 1960, equation 1) of one table of two labelers' verdicts, or of many.

    The last two axes are the table. nan without pairs, and where both always said the same one
    thing: agreement by chance is then certain.
    """
    n = table_V_V.sum(axis=(-2, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = np.trace(table_V_V, axis1=-2, axis2=-1) / n
        expected = (table_V_V.sum(axis=-1) * table_V_V.sum(axis=-2)).sum(axis=-1) / n**2
        kappa = (observed - expected) / (1 - expected)
    return np.asarray(np.where((n > 0) & (expected < 1), kappa, np.nan))


def cohen_estimate(table_V_V: Floats, *, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Cohen's kappa of two labelers with its bootstrap interval by pair."""
    cells = table_V_V.astype(np.int64).ravel()
    size = table_V_V.shape[0]
    return estimate_of(
        np.eye(size * size)[cells > 0],
        cells[cells > 0],
        lambda sums: cohen_kappa(sums.reshape(-1, size, size)),
        n=int(cells.sum()),
        seed=seed,
        resamples=resamples,
    )


def labeler_matrix(votes: Votes, *, least: int = MIN_PAIRS, most: int = 500) -> LabelerMatrix:
    """Agreement and Cohen's kappa of every two labelers with `least` shared pairs or more.

    most: with more labelers than this, those with the most votes.
    """
    votes_L = np.bincount(votes.labeler_N, minlength=votes.labelers)
    who_L = np.sort(np.argsort(-votes_L, kind="stable")[:most])
    row_of = np.full(votes.labelers, -1, dtype=np.int64)
    row_of[who_L] = np.arange(len(who_L))
    chosen = votes.only(row_of[votes.labeler_N] >= 0)
    met = meetings_of(chosen)
    one, other = row_of[met.one_M], row_of[met.other_M]
    n_M = met.table_M_V_V.sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        agreement_M = np.trace(met.table_M_V_V, axis1=1, axis2=2) / n_M
    enough = n_M >= least

    def square(value_M: Floats, fill: float) -> Floats:
        found = np.full((len(who_L), len(who_L)), fill, dtype=np.float64)
        found[one, other] = found[other, one] = value_M
        return found

    return LabelerMatrix(
        labeler_L=who_L,
        shared_L_L=square(n_M, 0).astype(np.int64),
        agreement_L_L=square(np.where(enough, agreement_M, np.nan), np.nan),
        kappa_L_L=square(np.where(enough, cohen_kappa(met.table_M_V_V), np.nan), np.nan),
    )


def against_rest(votes: Votes, *, seed: int = 0, resamples: int = RESAMPLES) -> list[AgainstRest]:
    """Every labeler with a vote against the others, in the order of their codes."""
    counts = votes.counts().astype(np.int64)
    others_N_V = counts[votes.pair_N]
    others_N_V[np.arange(len(votes)), votes.verdict_N] -= 1
    others_N = others_N_V.sum(axis=1)
    agreeing_N = others_N_V[np.arange(len(votes)), votes.verdict_N]
    table_L_V_V = np.zeros((votes.labelers, K, K))
    cell = votes.labeler_N * K + votes.verdict_N
    for v in range(K):
        column = np.bincount(cell, weights=others_N_V[:, v], minlength=votes.labelers * K)
        table_L_V_V[:, :, v] = column.reshape(votes.labelers, K)
    kappa_L = cohen_kappa(table_L_V_V)
    votes_L = np.bincount(votes.labeler_N, minlength=votes.labelers)
    ends = np.cumsum(votes_L)
    order = np.argsort(votes.labeler_N, kind="stable")
    found = []
    for labeler in np.flatnonzero(votes_L):
        own = order[ends[labeler] - votes_L[labeler] : ends[labeler]]
        shared = own[others_N[own] > 0]
        kinds, pairs_U = kinds_of(np.column_stack([agreeing_N[shared], others_N[shared]]))
        n = len(shared)
        enough = n >= MIN_PAIRS and bool(np.isfinite(kappa_L[labeler]))
        found.append(
            AgainstRest(
                labeler=int(labeler),
                votes=int(votes_L[labeler]),
                vote_pairs=int(others_N[shared].sum()),
                agreeing=int(agreeing_N[shared].sum()),
                agreement=estimate_of(
                    kinds, pairs_U, ratio_of, n=n, seed=seed, resamples=resamples
                ),
                kappa=float(kappa_L[labeler]) if enough else None,
            )
        )
    return found


def consistency_of(
    labeler_R: npt.ArrayLike, before_R: npt.ArrayLike, now_R: npt.ArrayLike
) -> list[Consistency]:
    """Self-agreement on hidden repeats; verdicts are places in VERDICTS, in stored order."""
    labeler, before, now = (np.asarray(a, dtype=np.int64) for a in (labeler_R, before_R, now_R))
    total = np.bincount(labeler)
    same = np.bincount(labeler[before == now], minlength=len(total))
    turned = np.bincount(labeler[(before + now == 1)], minlength=len(total))
    return [
        Consistency(
            labeler=int(i), same=share_of(int(same[i]), int(total[i])), turned=int(turned[i])
        )
        for i in np.flatnonzero(total)
    ]


def share_of(some: int, n: int, *, least: int = MIN_PAIRS) -> Estimate:
    """A share with Wilson's 95 % interval; none below `least`."""
    if n < max(least, 1):
        return Estimate.none(n)
    low, high = wilson(some, n)
    return Estimate(value=some / n, low=low, high=high, n=n)
