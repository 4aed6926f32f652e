"""The interval of a share: the one piece of statistics that several stages need."""

from statistics import NormalDist

Z = NormalDist().inv_cdf(0.975)


def wilson(some: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share (Wilson 1927; Brown, Cai and DasGupta 2001, 3.1.1).

    All of [0, 1] where n is 0.
    """
    if n == 0:
        return 0.0, 1.0
    share = some / n
    middle = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * (share * (1 - share) / n + Z * Z / (4 * n * n)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)
