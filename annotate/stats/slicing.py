"""Agreement of parts of the votes, and which parts differ from the rest by more than chance.

A unit is what is compared within itself: a pair with its votes, or those of its votes that lie in one
part, where a part takes some of a pair's votes only (the time of day).
"""

from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np
import numpy.typing as npt

from annotate.stats.coefficients import NOMINAL, OBSERVED, estimate_of_kinds
from annotate.stats.estimate import MIN_PAIRS, RESAMPLES, Estimate, Floats, Ints, kinds_of
from annotate.stats.votes import Votes


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """Votes per unit and verdict, and which parts a unit belongs to.

    counts_U_V: columns as VERDICTS. unit_R, part_R: one row per unit and part of it; a unit may be in
    several parts (tags) or in none.
    """

    counts_U_V: Floats
    unit_R: Ints
    part_R: Ints
    parts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartAgreement:
    """One part. n of the estimates counts its units with two votes or more.

    difference: observed agreement minus that of all units outside of the part.
    p_value: of a difference this far from none, were the part's units drawn by lot; None where the
    part or the rest has fewer than MIN_PAIRS units, or nothing that could differ.
    """

    votes: int
    observed_agreement: Estimate
    observed_agreement_without_ties: Estimate
    alpha_nominal: Estimate
    difference: float | None
    p_value: float | None


def units_of_pairs(votes: Votes, unit_R: npt.ArrayLike, part_R: npt.ArrayLike, parts: int) -> Units:
    """Parts made of whole pairs; the rows name pairs."""
    return Units(
        counts_U_V=votes.counts(),
        unit_R=np.asarray(unit_R, dtype=np.int64),
        part_R=np.asarray(part_R, dtype=np.int64),
        parts=parts,
    )


def units_of_votes(votes: Votes, part_N: npt.ArrayLike, parts: int) -> Units:
    """Parts made of single votes: only votes of the same part are compared; part_N per vote."""
    part = np.asarray(part_N, dtype=np.int64)
    rows, unit_N = np.unique(votes.pair_N * max(parts, 1) + part, return_inverse=True)
    flat = np.bincount(unit_N * 4 + votes.verdict_N, minlength=len(rows) * 4)
    return Units(
        counts_U_V=flat.reshape(len(rows), 4).astype(np.float64),
        unit_R=np.arange(len(rows), dtype=np.int64),
        part_R=rows % max(parts, 1),
        parts=parts,
    )


def agreement_by_part(
    units: Units, *, seed: int = 0, resamples: int = RESAMPLES
) -> list[PartAgreement]:
    """Every part in the order of its code."""
    difference, p_value = _against_the_rest(units)
    counts_R_V = units.counts_U_V[units.unit_R]
    kinds, units_K = kinds_of(np.column_stack([units.part_R, counts_R_V]))
    found = []
    for part in range(units.parts):
        own = kinds[:, 0] == part
        rows, pairs = kinds[own, 1:], units_K[own]
        sided, sided_pairs = _merged(rows[:, :2], pairs)
        of = {"seed": seed, "resamples": resamples}
        found.append(
            PartAgreement(
                votes=int(pairs @ rows.sum(axis=1)),
                observed_agreement=estimate_of_kinds(OBSERVED, rows, pairs, **of),
                observed_agreement_without_ties=estimate_of_kinds(
                    OBSERVED, sided, sided_pairs, **of
                ),
                alpha_nominal=estimate_of_kinds(NOMINAL, rows, pairs, **of),
                difference=_known(difference[part]),
                p_value=_known(p_value[part]),
            )
        )
    return found


def holm(p_values: npt.ArrayLike) -> Floats:
    """P-values adjusted so that any false alarm at all has the stated probability (Holm 1979)."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    raised = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(raised))
    return adjusted


def _against_the_rest(units: Units) -> tuple[Floats, Floats]:
    """Difference and p-value per part, nan where there is none.

    Mantel's (1963) test with the number of votes as stratum: under chance, a part's units are a draw
    without replacement from all units with as many votes, so their agreement has a known mean and
    variance; the sum over strata is held against the normal distribution.
    """
    n_U = units.counts_U_V.sum(axis=1)
    agreeing_U = (units.counts_U_V * (units.counts_U_V - 1)).sum(axis=1)
    two_R = n_U[units.unit_R] >= 2
    unit_R, part_R = units.unit_R[two_R], units.part_R[two_R]
    two_U = n_U >= 2

    strata, stratum_U = np.unique(n_U, return_inverse=True)
    size_H = np.bincount(stratum_U[two_U], minlength=len(strata)).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_H = np.bincount(stratum_U[two_U], agreeing_U[two_U], len(strata)) / size_H
        apart_U = np.where(two_U, agreeing_U - mean_H[stratum_U], 0.0)
        variance_H = np.bincount(stratum_U, apart_U**2, len(strata)) / (size_H - 1)

        own_S_H = np.bincount(
            part_R * len(strata) + stratum_U[unit_R], minlength=units.parts * len(strata)
        ).reshape(units.parts, len(strata))
        share = own_S_H * (size_H - own_S_H) / size_H * variance_H
        spread_S = np.sqrt(np.nansum(share, axis=1))
        apart_S = np.bincount(part_R, apart_U[unit_R], units.parts)

        agreeing_S = np.bincount(part_R, agreeing_U[unit_R], units.parts)
        meeting_U = n_U * (n_U - 1)
        meeting_S = np.bincount(part_R, meeting_U[unit_R], units.parts)
        rest_S = (agreeing_U.sum() - agreeing_S) / (meeting_U.sum() - meeting_S)
        difference_S = agreeing_S / meeting_S - rest_S

    units_S = own_S_H.sum(axis=1)
    tested_S = (units_S >= MIN_PAIRS) & (two_U.sum() - units_S >= MIN_PAIRS)
    p_S = [
        erfc(abs(apart) / spread / sqrt(2)) if tested and spread > 0 else np.nan
        for apart, spread, tested in zip(apart_S, spread_S, tested_S, strict=True)
    ]
    return np.where(tested_S, difference_S, np.nan), np.array(p_S, dtype=np.float64)


def _merged(rows_U_C: Floats, pairs_U: Ints) -> tuple[Floats, Ints]:
    """Rows that have become alike, as one each."""
    found, at_U = np.unique(rows_U_C, axis=0, return_inverse=True)
    return found, np.bincount(at_U.ravel(), pairs_U, len(found)).astype(np.int64)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
