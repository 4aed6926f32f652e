"""A number with its interval, and the bootstrap that gives the interval.

A statistic here is a function of sums over pairs. Pairs with the same votes add the same to every
sum, so a bootstrap by pair only has to draw how many pairs of each kind are taken: one multinomial
draw of the kinds is exactly a resample of the pairs (Efron 1979, section 2), at a cost that does
not grow with the number of pairs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storage.intervals import Z

MIN_PAIRS = 10  # below this there is "not enough data" instead of a number
RESAMPLES = 1000
CELLS = 4_000_000  # of one block of draws: 32 MB

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A statistic in its own unit with its 95 % interval; None where the data are too few.

    n: pairs (or what its maker says) that it rests on.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int

    @staticmethod
    def none(n: int) -> "Estimate":
        return Estimate(value=None, low=None, high=None, n=n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A fitted number with its standard error, and the 95 % interval that this means."""

    value: float
    error: float

    @property
    def low(self) -> float:
        return self.value - Z * self.error

    @property
    def high(self) -> float:
        return self.value + Z * self.error


def kinds_of(rows_P_C: npt.NDArray[np.generic]) -> tuple[Floats, Ints]:
    """Distinct rows in ascending order, and how many pairs have each: rows_U_C, pairs_U."""
    rows = np.ascontiguousarray(rows_P_C)
    whole = rows.astype(np.int64)
    sizes = whole.max(axis=0, initial=0) + 1
    counted = bool((whole == rows).all()) and bool((whole >= 0).all())
    if len(rows) == 0 or not counted or np.prod(sizes.astype(np.float64)) >= 2**62:
        found, pairs_U = np.unique(rows, axis=0, return_counts=True)
        return found.astype(np.float64), pairs_U.astype(np.int64)
    # One whole number per row sorts a hundred times faster than rows do.
    radix = np.concatenate([np.cumprod(sizes[:0:-1])[::-1], [1]]).astype(np.int64)
    _, at_U, pairs_U = np.unique(whole @ radix, return_index=True, return_counts=True)
    return rows[at_U].astype(np.float64), pairs_U.astype(np.int64)


def bootstrap(
    sums_U_C: Floats, pairs_U: Ints, *, seed: int = 0, resamples: int = RESAMPLES
) -> Floats:
    """Sums over resampled pairs, totals_R_C: as many pairs as there are, drawn with replacement.

    sums_U_C: what one pair of each kind adds to each sum.
    """
    n = int(pairs_U.sum())
    rng = np.random.default_rng(seed)
    totals = np.empty((resamples, sums_U_C.shape[1]))
    at_once = max(1, CELLS // max(1, len(pairs_U)))
    for start in range(0, resamples, at_once):
        draws = rng.multinomial(n, pairs_U / n, size=min(at_once, resamples - start))
        totals[start : start + len(draws)] = draws @ sums_U_C
    return totals


def estimate_of(
    sums_U_C: Floats,
    pairs_U: Ints,
    value_of: Callable[[Floats], Floats],
    *,
    n: int,
    seed: int = 0,
    resamples: int = RESAMPLES,
    least: int = MIN_PAIRS,
) -> Estimate:
    """Point value and 95 % percentile bootstrap interval of a function of sums over pairs.

    value_of takes sums in its last axis and gives nan where the statistic is undefined; such
    resamples are left out of the interval. n: pairs to report and to hold against `least`.
    """
    if n < least or not len(pairs_U):
        return Estimate.none(n)
    point = float(value_of((pairs_U @ sums_U_C)[None])[0])
    draws = value_of(bootstrap(sums_U_C, pairs_U, seed=seed, resamples=resamples))
    draws = draws[np.isfinite(draws)]
    if not np.isfinite(point) or not len(draws):
        return Estimate.none(n)
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(value=point, low=float(low), high=float(high), n=n)


def ratio_of(sums: Floats) -> Floats:
    """First sum over second; nan where the second is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(sums[..., 1] != 0, sums[..., 0] / sums[..., 1], np.nan))
