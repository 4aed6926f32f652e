"""Labelers' ability where pairs differ in difficulty.

    logit P(labeler l prefers the first answer of pair i) = ability_l * strength_i

strength_i, drawn from a standard normal distribution, is how clearly the first answer is the better
one (negative: the second); where it is near 0 everybody guesses. GLAD (Whitehill, Ruvolo, Wu,
Bergsma and Movellan 2009, section 2) with its label and difficulty taken together as one number with
a sign, which is Bradley and Terry's model with a slope per labeler. Pairs are integrated out on a
grid (Bock and Aitkin 1981, section 2) rather than maximised, which with two or three votes per pair
would make every labeler look able. Ability 0 is guessing, below 0 is preferring the worse answer.
"""

from dataclasses import dataclass

import numpy as np

from annotate.stats.estimate import Floats, Ints
from annotate.stats.votes import SECOND, Votes, meeting_votes

NODES = 16  # even, so that no pair sits at strength 0 exactly
FULL_MATRIX = 2000  # labelers beyond which standard errors leave out that others' are estimated too
AT_ONCE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """ability_L: nan for those without a vote for an answer; error_L from the observed information.

    accuracy_L: chance of preferring the better answer, over pairs as the prior has them.
    strength_P, strength_error_P: mean and deviation of the posterior; 0 and 1 without votes.
    probability_first_P: that the first answer is the better one.
    left_out: ties and both-bad, which this model has no place for.
    """

    ability_L: Floats
    error_L: Floats
    accuracy_L: Floats
    accuracy_error_L: Floats
    votes_L: Ints
    strength_P: Floats
    strength_error_P: Floats
    probability_first_P: Floats
    log_likelihood: list[float]
    converged: bool
    left_out: int


def fit_abilities(
    votes: Votes,
    *,
    prior_mean: float = 2.0,
    prior_deviation: float = 2.0,
    iterations: int = 300,
    tolerance: float = 1e-4,
) -> Abilities:
    """Fit by EM to the votes for an answer; stops where no ability moves by `tolerance`.

    Abilities have a normal prior (at its mean a labeler is right on four pairs of five), which keeps
    those finite who always agree, and says which way round the scale goes when all oppose each other.
    log_likelihood: with the log of that prior, up to a constant; it never falls.
    """
    sided = votes.verdict_N <= SECOND
    pair_N, who_N = votes.pair_N[sided], votes.labeler_N[sided]
    cell_N = who_N * 2 + votes.verdict_N[sided]
    grid = _Grid(pair_N, cell_N, votes.pairs, votes.labelers)
    precision = 1 / prior_deviation**2
    ability = np.full(votes.labelers, prior_mean)
    trace: list[float] = []
    converged = False
    posterior = np.tile(grid.weight, (votes.pairs, 1))
    for _ in range(iterations):
        posterior, value = grid.posterior(ability)
        trace.append(value - precision / 2 * float(((ability - prior_mean) ** 2).sum()))
        after = grid.maximise(ability, posterior, prior_mean, precision)
        moved = float(np.abs(after - ability).max(initial=0))
        ability = after
        if moved <= tolerance:
            converged = True
            break
    votes_L = np.bincount(who_N, minlength=votes.labelers)
    error = _errors(grid, ability, posterior, precision)
    known = votes_L > 0
    steep = np.abs(grid.node)
    right_L_Q = 1 / (1 + np.exp(-ability[:, None] * steep))
    slope = (right_L_Q * (1 - right_L_Q) * steep) @ grid.weight
    strength = posterior @ grid.node
    spread = np.sqrt(np.maximum(posterior @ grid.node**2 - strength**2, 0))
    return Abilities(
        ability_L=np.where(known, ability, np.nan),
        error_L=np.where(known, error, np.nan),
        accuracy_L=np.where(known, right_L_Q @ grid.weight, np.nan),
        accuracy_error_L=np.where(known, slope * error, np.nan),
        votes_L=votes_L,
        strength_P=strength,
        strength_error_P=spread,
        probability_first_P=posterior[:, grid.node > 0].sum(axis=1),
        log_likelihood=trace,
        converged=converged,
        left_out=int(len(votes) - sided.sum()),
    )


class _Grid:
    """Votes against the nodes of strength; a cell is a labeler and an answer."""

    def __init__(self, pair_N: Ints, cell_N: Ints, pairs: int, labelers: int) -> None:
        node, weight = np.polynomial.hermite_e.hermegauss(NODES)
        self.node: Floats = node
        self.weight: Floats = weight / weight.sum()
        self.pair_N, self.cell_N = pair_N, cell_N
        self.pairs, self.labelers = pairs, labelers
        self.sign = np.tile([1.0, -1.0], labelers)

    def posterior(self, ability_L: Floats) -> tuple[Floats, float]:
        """posterior_P_Q of the strengths, and the log-likelihood of the votes."""
        slope_C = self.sign * np.repeat(ability_L, 2)
        joint = np.empty((self.pairs, NODES))
        for q, x in enumerate(self.node):
            table_C = -np.logaddexp(0, -slope_C * x)
            joint[:, q] = np.bincount(self.pair_N, table_C[self.cell_N], self.pairs)
        joint += np.log(self.weight)
        top = joint.max(axis=1, keepdims=True, initial=-np.inf)
        np.exp(joint - top, out=joint)
        total = joint.sum(axis=1, keepdims=True)
        return joint / total, float((np.log(total) + top).sum())

    def maximise(
        self, ability_L: Floats, posterior_P_Q: Floats, mean: float, precision: float
    ) -> Floats:
        """Newton's method for every labeler alone, which is all that their part of EM takes."""
        expected = np.stack(
            [
                np.bincount(self.cell_N, np.ascontiguousarray(p)[self.pair_N], 2 * self.labelers)
                for p in posterior_P_Q.T
            ],
            axis=1,
        ).reshape(self.labelers, 2, NODES)
        ability = ability_L
        for _ in range(4):
            first = 1 / (1 + np.exp(-np.clip(ability[:, None] * self.node, -500, 500)))
            gradient = (expected[:, 0] * (1 - first) - expected[:, 1] * first) @ self.node
            gradient -= precision * (ability - mean)
            bend = (expected.sum(axis=1) * first * (1 - first)) @ self.node**2 + precision
            ability = ability + np.clip(gradient / bend, -2, 2)
        return np.asarray(ability)


def _errors(grid: _Grid, ability_L: Floats, posterior_P_Q: Floats, precision: float) -> Floats:
    """Standard errors from Louis' (1982) observed information: what the votes would tell if strengths
    were known, less what is lost because they are not.
    """
    slope_CQ = (grid.sign * np.repeat(ability_L, 2))[:, None] * grid.node
    right = 1 / (1 + np.exp(-np.clip(slope_CQ, -500, 500)))
    score_CQ = grid.sign[:, None] * grid.node * (1 - right)
    bend_CQ = grid.node**2 * right * (1 - right)
    who_N = grid.cell_N // 2
    mean_N, square_N, bend_N = np.zeros((3, len(who_N)))
    for q in range(NODES):
        share_N = posterior_P_Q[:, q][grid.pair_N]
        score_N = score_CQ[:, q][grid.cell_N]
        mean_N += share_N * score_N
        square_N += share_N * score_N**2
        bend_N += share_N * bend_CQ[:, q][grid.cell_N]
    own = np.bincount(who_N, bend_N - (square_N - mean_N**2), grid.labelers) + precision
    if grid.labelers > FULL_MATRIX:
        return np.asarray(1 / np.sqrt(np.where(own > 0, own, np.nan)))
    information = np.diag(own)
    earlier, later = meeting_votes(grid.pair_N)
    for start in range(0, len(earlier), AT_ONCE):
        a, b = earlier[start : start + AT_ONCE], later[start : start + AT_ONCE]
        both = -mean_N[a] * mean_N[b]
        for q in range(NODES):
            share = posterior_P_Q[:, q][grid.pair_N[a]]
            both += share * score_CQ[:, q][grid.cell_N[a]] * score_CQ[:, q][grid.cell_N[b]]
        np.add.at(information, (who_N[a], who_N[b]), -both)
        np.add.at(information, (who_N[b], who_N[a]), -both)
    variance = np.diag(np.linalg.pinv(information, hermitian=True))
    return np.asarray(np.sqrt(np.where(variance > 0, variance, np.nan)))
