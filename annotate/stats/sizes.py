"""How many votes it takes: for agreement within so many points, for seeing a win, for a majority."""

from math import ceil, comb, sqrt
from statistics import NormalDist


def votes_for_agreement(agreement: float, *, within: float = 0.05, level: float = 0.95) -> int:
    """Pairs with two votes that give observed agreement within +- `within`.

    Normal interval of a share: z^2 p (1 - p) / within^2 (Cochran 1977, section 4.4).
    At agreement .65: 350 for 5 points, 972 for 3.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    return ceil(z * z * agreement * (1 - agreement) / within**2)


def half_width(n: int, share: float = 0.5, *, level: float = 0.95) -> float:
    """How far a share of n pairs may be off: 4.9 points at n = 400 and one half."""
    return NormalDist().inv_cdf((1 + level) / 2) * sqrt(share * (1 - share) / n)


def comparisons_for_win(rate: float, *, power: float = 0.8, level: float = 0.95) -> int:
    """Comparisons without ties in which a true win rate shows as different from one half.

    Two-sided test of a share (Fleiss, Levin and Paik 2003, section 2.4): 783 for 55/45, 194 for
    60/40. Raises ValueError at one half, which no number of comparisons tells from itself.
    """
    if rate == 0.5 or not 0 < rate < 1:
        raise ValueError("a win rate between 0 and 1 that is not one half")
    normal = NormalDist()
    spread = normal.inv_cdf((1 + level) / 2) / 2 + normal.inv_cdf(power) * sqrt(rate * (1 - rate))
    return ceil((spread / (rate - 0.5)) ** 2)


def implied_accuracy(agreement: float) -> float:
    """How often one vote is right, if two independent ones agree this often: (1 + sqrt(2p - 1)) / 2.

    Two answers, errors alike on both sides; one half where people agree no more than by chance.
    """
    return (1 + sqrt(max(0.0, 2 * agreement - 1))) / 2


def majority_accuracy(accuracy: float, votes: int) -> float:
    """How often the majority of an odd number of independent votes is right (Condorcet 1785)."""
    need = votes // 2 + 1
    return sum(
        comb(votes, k) * accuracy**k * (1 - accuracy) ** (votes - k) for k in range(need, votes + 1)
    )


def expected_votes(agreement: float, *, majority: int) -> float:
    """Votes spent on average until one answer has `majority` of them.

    majority 2 is "two, then a third where they differ", 3 is "first to three of five". The label is
    that of the fixed 2 * majority - 1 votes in every case.
    """
    a = implied_accuracy(agreement)
    return sum(
        n
        * comb(n - 1, majority - 1)
        * (a**majority * (1 - a) ** (n - majority) + (1 - a) ** majority * a ** (n - majority))
        for n in range(majority, 2 * majority)
    )


def saving(agreement: float, *, majority: int) -> float:
    """Share of the fixed design's votes that stopping at a majority saves."""
    return 1 - expected_votes(agreement, majority=majority) / (2 * majority - 1)
