"""What the votes on one pair are worth in a project whose people agree as often as they do.

Two readings of the same votes, both even where people agree by chance only:
- `share_first`: what share of people would prefer the first answer. Tastes differ by pair; the prior
  is the Beta distribution under which two votes agree as often as they do in the project.
- `probability_first`: how likely it is that the first answer is the better one, if there is a better
  one and every vote is right with the project's accuracy (one coin; Dawid and Skene 1979).
A tie counts as half a vote for either. 2 of 2 votes say less than 3 of 3 in both.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from annotate.stats.estimate import Estimate, Floats, Ints
from annotate.stats.sizes import implied_accuracy
from annotate.stats.votes import FIRST, SECOND, TIE, Votes

ALMOST = 1e-6  # agreement is held this far from 1/2 and from 1, where the priors degenerate
SHADES = (
    -1.0,
    -0.5,
    0.0,
    0.5,
)  # what the e-process bets on: the opposite, ..., a coin, half a coin


def flip_rate(agreement: Estimate) -> Estimate:
    """How often one vote is wrong, 1 - (1 + sqrt(2p - 1)) / 2, from agreement without ties.

    The interval is that of agreement, turned round. .5 where people agree by chance or less.
    """
    if agreement.value is None or agreement.low is None or agreement.high is None:
        return Estimate.none(agreement.n)
    value, low, high = (
        1 - implied_accuracy(p) for p in (agreement.value, agreement.high, agreement.low)
    )
    return Estimate(value=value, low=low, high=high, n=agreement.n)


def prior_votes(agreement: float) -> float:
    """The b of the Beta(b, b) of shares under which two votes agree with probability `agreement`.

    E[x^2 + (1 - x)^2] = (b + 1) / (2b + 1), so b = (1 - p) / (2p - 1): few at high agreement, and
    without bound towards one half.
    """
    p = min(max(agreement, 0.5 + ALMOST), 1 - ALMOST)
    return (1 - p) / (2 * p - 1)


def halves(counts_P_V: Floats) -> tuple[Floats, Floats]:
    """Votes for the first and for the second answer, a tie half for each; both-bad for none."""
    tie = counts_P_V[:, TIE] / 2
    return counts_P_V[:, FIRST] + tie, counts_P_V[:, SECOND] + tie


def share_first(first_P: Floats, second_P: Floats, *, agreement: float) -> Floats:
    """Mean of the posterior share of people who prefer the first answer; one half without votes."""
    b = prior_votes(agreement)
    return np.asarray((first_P + b) / (first_P + second_P + 2 * b))


def share_error(first_P: Floats, second_P: Floats, *, agreement: float) -> Floats:
    """Standard deviation of that posterior."""
    b = prior_votes(agreement)
    n = first_P + second_P + 2 * b
    share = (first_P + b) / n
    return np.asarray(np.sqrt(share * (1 - share) / (n + 1)))


def probability_first(first_P: Floats, second_P: Floats, *, agreement: float) -> Floats:
    """Probability that the first answer is the better one; one half without votes."""
    a = min(implied_accuracy(agreement), 1 - ALMOST)
    weight = np.log(a / (1 - a)) * (first_P - second_P)
    return np.asarray(np.exp(-np.logaddexp(0, -weight)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdTest:
    """A labeler's votes tested against the crowd's, as they come.

    log_evidence_N: natural logarithm of the e-process after each vote.
    alarm_at: how many votes it took to reach 1/alpha, None if it never did.
    """

    log_evidence_N: Floats
    alarm_at: int | None

    @property
    def evidence(self) -> float:
        """The e-value now, at most 1e300: how many times likelier than under agreement with the crowd."""
        return (
            float(np.exp(min(self.log_evidence_N[-1], 690.0))) if len(self.log_evidence_N) else 1.0
        )


def crowd_test(
    voted_first_N: npt.ArrayLike, chance_first_N: npt.ArrayLike, *, alpha: float = 0.01
) -> CrowdTest:
    """Test whether votes for an answer come as the crowd's do; look as often as you like.

    chance_first_N: probability of a vote for the first answer, given the others' votes on the pair
    (`share_first` of them). Evidence is the mean over SHADES of the likelihood ratio of a labeler
    whose chance lies at 1/2 + shade (chance - 1/2): 0 votes at random, -1 against the crowd. Each
    ratio is a martingale under the hypothesis, so their mean passes 1/alpha with probability alpha at
    most, however long it runs (Ville 1939; Ramdas, Gruenwald, Vovk and Shafer 2023, section 2).
    FastChat's outlier test is the case of shade 0 alone.
    """
    first = np.asarray(voted_first_N, dtype=bool)
    chance = np.clip(np.asarray(chance_first_N, dtype=np.float64), ALMOST, 1 - ALMOST)
    own = np.where(first, chance, 1 - chance)
    shade = np.array(SHADES)[:, None]
    ratios = np.log(0.5 + shade * (own - 0.5)) - np.log(own)
    paths = np.cumsum(ratios, axis=1)
    evidence = np.logaddexp.reduce(paths, axis=0) - np.log(len(SHADES))
    over = np.flatnonzero(evidence >= -np.log(alpha))
    return CrowdTest(log_evidence_N=evidence, alarm_at=int(over[0]) + 1 if len(over) else None)


def crowd_tests(
    votes: Votes,
    *,
    agreement: float,
    order_N: npt.ArrayLike | None = None,
    alpha: float = 0.01,
) -> dict[int, CrowdTest]:
    """The test of every labeler with a vote for an answer on a pair that others voted on.

    agreement: the project's, without ties. order_N: any key that grows with time, per vote (one per
    row of `votes`); without it the votes come in the order of their pairs. With many labelers give
    alpha / labelers, so that any false alarm at all has probability alpha.
    """
    first_P, second_P = halves(votes.counts())
    half = np.array([1.0, 0.0, 0.5, 0.0])
    first_N = first_P[votes.pair_N] - half[votes.verdict_N]
    second_N = second_P[votes.pair_N] - half[[1, 0, 2, 3]][votes.verdict_N]
    chance = share_first(first_N, second_N, agreement=agreement)
    usable = (votes.verdict_N <= SECOND) & (first_N + second_N > 0)
    when: Ints = np.arange(len(votes)) if order_N is None else np.argsort(np.argsort(order_N))
    rows = np.flatnonzero(usable)
    rows = rows[np.lexsort((when[rows], votes.labeler_N[rows]))]
    if not len(rows):
        return {}
    who, starts = np.unique(votes.labeler_N[rows], return_index=True)
    return {
        int(labeler): crowd_test(votes.verdict_N[own] == FIRST, chance[own], alpha=alpha)
        for labeler, own in zip(who, np.split(rows, starts[1:]), strict=True)
    }
