"""Agreement coefficients over all labelers, each a function of sums over pairs.

Input is counts_P_V (votes per pair and verdict), or counts_P_7 (per pair and level) for the ordinal
one. Who voted does not matter to any of these; annotate/stats/labelers.py has those where it does.
All are undefined (nan) when no pair has two votes. Those that correct for chance are undefined too
when every vote is the same: nothing was there that chance could have got wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

import numpy as np

from annotate.stats.estimate import (
    RESAMPLES,
    Estimate,
    Floats,
    Ints,
    estimate_of,
    kinds_of,
    ratio_of,
)
from annotate.stats.votes import LEVELS, Votes
from storage.intervals import Z


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficient:
    """How a statistic is made: what a pair adds to each sum, and the sums' value.

    least: votes a pair needs to add anything.
    """

    sums: Callable[[Floats], Floats]  # counts_P_V -> sums_P_C
    value: Callable[[Floats], Floats]  # sums_..._C -> value_...
    least: int = 2


def _agreeing_pairs(counts_P_V: Floats) -> Floats:
    n_P = counts_P_V.sum(axis=1)
    return np.column_stack([(counts_P_V * (counts_P_V - 1)).sum(axis=1), n_P * (n_P - 1)])


def _nominal_sums(counts_P_V: Floats) -> Floats:
    """The agreeing share of a pair's coincidences, then its pairable votes per verdict."""
    n_P = counts_P_V.sum(axis=1)
    agreeing = (counts_P_V * (counts_P_V - 1)).sum(axis=1) / (n_P - 1)
    return np.column_stack([agreeing, counts_P_V])


def _nominal_alpha(sums: Floats) -> Floats:
    agreeing, n_V = sums[..., 0], sums[..., 1:]
    n = n_V.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = 1 - agreeing / n
        expected = 1 - (n_V * (n_V - 1)).sum(axis=-1) / (n * (n - 1))
        return np.asarray(np.where(expected > 0, 1 - observed / expected, np.nan))


CELLS_OF_LEVELS = list(combinations_with_replacement(range(LEVELS), 2))


def _coincidences(counts_P_7: Floats) -> Floats:
    """A pair's part of the coincidence matrix, upper triangle in the order of CELLS_OF_LEVELS."""
    n_P = counts_P_7.sum(axis=1)
    low, high = np.array(CELLS_OF_LEVELS).T
    cells = counts_P_7[:, low] * (counts_P_7[:, high] - (low == high))
    return np.asarray(cells / (n_P - 1)[:, None])


def _ordinal_alpha(sums: Floats) -> Floats:
    """Distance of two levels: the votes from one to the other, half of those at either end, squared."""
    low, high = np.array(CELLS_OF_LEVELS).T
    n_L = np.zeros((*sums.shape[:-1], LEVELS))
    for cell, (a, b) in enumerate(CELLS_OF_LEVELS):
        n_L[..., a] += sums[..., cell]
        if a != b:
            n_L[..., b] += sums[..., cell]
    upto = np.cumsum(n_L, axis=-1)
    middle = upto - n_L / 2
    distance = (middle[..., high] - middle[..., low]) ** 2
    n = upto[..., -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = (sums * distance).sum(axis=-1) / n
        expected = (n_L[..., low] * n_L[..., high] * distance).sum(axis=-1) / (n * (n - 1))
        return np.asarray(np.where(expected > 0, 1 - observed / expected, np.nan))


def _share_sums(counts_P_V: Floats) -> Floats:
    """Agreement within the pair, whether it has two votes, shares of verdicts, whether it has any."""
    n_P = counts_P_V.sum(axis=1)
    two = n_P >= 2
    within = (counts_P_V * (counts_P_V - 1)).sum(axis=1) / np.where(two, n_P * (n_P - 1), 1)
    return np.column_stack([within * two, two, counts_P_V / n_P[:, None], np.ones(len(n_P))])


def _fleiss(sums: Floats) -> Floats:
    observed = ratio_of(sums[..., :2])
    share_V = sums[..., 2:-1] / sums[..., -1:]
    return _beyond_chance(observed, (share_V**2).sum(axis=-1))


def _ac1(sums: Floats) -> Floats:
    observed = ratio_of(sums[..., :2])
    share_V = sums[..., 2:-1] / sums[..., -1:]
    used = (sums[..., 2:-1].reshape(-1, share_V.shape[-1]) > 0).any(axis=0).sum()
    if used < 2:
        return np.full(observed.shape, np.nan)
    return _beyond_chance(observed, (share_V * (1 - share_V)).sum(axis=-1) / (used - 1))


def _beyond_chance(observed: Floats, expected: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (observed - expected) / (1 - expected)
    return np.asarray(np.where(expected < 1, ratio, np.nan))


OBSERVED = Coefficient(sums=_agreeing_pairs, value=ratio_of)
NOMINAL = Coefficient(sums=_nominal_sums, value=_nominal_alpha)
ORDINAL = Coefficient(sums=_coincidences, value=_ordinal_alpha)
FLEISS = Coefficient(sums=_share_sums, value=_fleiss, least=1)
AC1 = Coefficient(sums=_share_sums, value=_ac1, least=1)


def value_of(coefficient: Coefficient, counts_P_V: Floats) -> float:
    """The statistic alone; nan where it is undefined."""
    n_P = counts_P_V.sum(axis=1)
    if not (n_P >= 2).any():
        return float("nan")
    sums = coefficient.sums(np.asarray(counts_P_V[n_P >= coefficient.least], dtype=np.float64))
    return float(coefficient.value(sums.sum(axis=0)[None])[0])


def estimate(
    coefficient: Coefficient, counts_P_V: Floats, *, seed: int = 0, resamples: int = RESAMPLES
) -> Estimate:
    """The statistic with its bootstrap interval by pair; n counts the pairs with two votes.

    Where no resample differs, as when everybody always agrees, the bootstrap knows no doubt. The
    interval then reaches to where z^2 more pairs of the other kind would take the statistic, which
    for a share is Wilson's interval.
    """
    kinds, pairs_U = kinds_of(counts_P_V)
    return estimate_of_kinds(coefficient, kinds, pairs_U, seed=seed, resamples=resamples)


def estimate_of_kinds(
    coefficient: Coefficient,
    kinds: Floats,
    pairs_U: Ints,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Estimate:
    """The same from the distinct rows of counts_P_V, and how many pairs have each."""
    n_U = kinds.sum(axis=1)
    keep = n_U >= coefficient.least
    kinds, pairs_U, n_U = kinds[keep], pairs_U[keep], n_U[keep]
    sums = coefficient.sums(kinds)
    found = estimate_of(
        sums,
        pairs_U,
        coefficient.value,
        n=int(pairs_U[n_U >= 2].sum()),
        seed=seed,
        resamples=resamples,
    )
    if found.value is None or found.low != found.high:
        return found
    common = np.argsort(-(pairs_U @ kinds), kind="stable")[:2]
    rows = np.zeros((2, kinds.shape[1]))
    rows[0, common] = 1  # two votes that differ
    rows[1, common[0]] = 2  # two that agree
    other = coefficient.value(pairs_U @ sums + Z**2 * coefficient.sums(rows))
    return replace(
        found,
        low=float(np.nanmin([found.value, *other])),
        high=float(np.nanmax([found.value, *other])),
    )


def observed_agreement(counts_P_V: Floats) -> float:
    """Share of agreeing vote pairs among all vote pairs on the same pair."""
    return value_of(OBSERVED, counts_P_V)


def alpha_nominal(counts_P_V: Floats) -> float:
    """Krippendorff's alpha, nominal (Krippendorff 2011, "Computing Krippendorff's
    Alpha-Reliability", section C). A tie is a category like any other.
    """
    return value_of(NOMINAL, counts_P_V)


def alpha_ordinal(counts_P_7: Floats) -> float:
    """Krippendorff's alpha with the ordinal metric (Krippendorff 2011, section D), levels -3 .. +3."""
    return value_of(ORDINAL, counts_P_7)


def fleiss_kappa(counts_P_V: Floats) -> float:
    """Fleiss' kappa (Fleiss 1971), for any number of votes per pair.

    With unequal numbers (Gwet 2014, "Handbook of Inter-Rater Reliability", section 2.4): observed is
    the mean over pairs with two votes or more of the agreement within the pair; chance is the sum of
    squares of the mean over all pairs of the share of each verdict. Pairs weigh alike, however many
    votes they have. With equal numbers this is Fleiss' own.
    """
    return value_of(FLEISS, counts_P_V)


def gwet_ac1(counts_P_V: Floats) -> float:
    """Gwet's AC1 for several labelers (Gwet 2008, equations 5 to 7; with missing votes: Gwet 2014,
    section 4.4). Pairs with one vote count for the verdicts' shares. Categories are those that occur;
    nan when only one does.
    """
    return value_of(AC1, counts_P_V)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Every coefficient of one set of votes.

    both_bad: votes that the ordinal one leaves out, because they have no place on its scale.
    """

    observed_agreement: Estimate
    observed_agreement_without_ties: Estimate
    alpha_nominal: Estimate
    alpha_ordinal: Estimate
    fleiss_kappa: Estimate
    gwet_ac1: Estimate
    pairs: int
    judgments: int
    both_bad: int


def agreement_of(votes: Votes, *, seed: int = 0, resamples: int = RESAMPLES) -> Agreement:
    """All coefficients with intervals. Without ties: votes for an answer alone are compared."""
    counts, levels = votes.counts(), votes.level_counts()

    def of(coefficient: Coefficient, counts_P_V: Floats) -> Estimate:
        return estimate(coefficient, counts_P_V, seed=seed, resamples=resamples)

    return Agreement(
        observed_agreement=of(OBSERVED, counts),
        observed_agreement_without_ties=of(OBSERVED, counts[:, :2]),
        alpha_nominal=of(NOMINAL, counts),
        alpha_ordinal=of(ORDINAL, levels),
        fleiss_kappa=of(FLEISS, counts),
        gwet_ac1=of(AC1, counts),
        pairs=int((counts.sum(axis=1) > 0).sum()),
        judgments=len(votes),
        both_bad=int(counts[:, 3].sum()),
    )
