"""How strong the policies are, from votes on pairs of their answers.

Bradley and Terry's model (1952) with Davidson's ties (1970). Davidson's rather than Rao and Kupper's
(1967), because its likelihood is an exponential family's: a tie enters the ratings' equations as half
a win for each, the maximum is unique, and without ties it is Bradley and Terry's own.
Style control as in FastChat's leaderboard: differences of length and formatting enter beside the
ratings, which then say how the policies compare at equal style.
Ratings are natural log-odds; 400 / ln 10 of one is Elo's scale.
"""

from dataclasses import dataclass

import numpy as np

from annotate.stats.estimate import Floats, Ints
from annotate.stats.matches import Likelihood, Matches, Ties, groups_of

ELO = 400 / float(np.log(10))
REFITS = 5_000  # rows beyond which a resample takes one Newton step instead of a fit of its own
LEAST_PROMPTS = 10  # fewer give no interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Difference of two ratings with its standard error, and the chance of a preference it means."""

    value: float
    error: float
    win_probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratings:
    """rating_S: log-odds; the mean of every group of policies that met, directly or not, is 0.

    low_S, high_S: 95 % percentile interval over resampled prompts; nan below LEAST_PROMPTS.
    group_S: between policies of different groups nothing is known. A policy that met nobody has nan.
    covariance: of ratings, style effects and log nu, from the information of the votes alone.
    style_F: what one unit of a style difference adds to the log-odds.
    tie: Davidson's nu (two equal policies tie with probability nu / (2 + nu)); None without ties.
    deviance: twice the log-likelihood's distance from a model with one free rate per row.
    """

    rating_S: Floats
    error_S: Floats
    low_S: Floats
    high_S: Floats
    group_S: Ints
    style_F: Floats
    style_error_F: Floats
    style_low_F: Floats
    style_high_F: Floats
    tie: float | None
    covariance: Floats
    deviance: float
    votes: float

    def gap(self, one: int, other: int) -> Gap | None:
        """How two policies compare; None if no chain of matches links them."""
        if self.group_S[one] != self.group_S[other]:
            return None
        c = self.covariance
        value = float(self.rating_S[one] - self.rating_S[other])
        variance = c[one, one] + c[other, other] - 2 * c[one, other]
        return Gap(
            value=value,
            error=float(np.sqrt(max(variance, 0.0))),
            win_probability=float(1 / (1 + np.exp(-value))),
        )


def fit_ratings(
    matches: Matches,
    *,
    ties: Ties = Ties.DAVIDSON,
    ridge: float = 0.01,
    resamples: int = 200,
    seed: int = 0,
) -> Ratings:
    """Fit ratings, style effects and ties by penalised maximum likelihood.

    ridge: precision of a normal prior around 0 on each of them. It keeps a policy that always won
    finite; 0 is plain maximum likelihood, which exists only where no group of policies won every
    match against the others (Ford 1957).
    """
    model = Likelihood(matches, ties, ridge)
    rows = np.ones(len(matches.wins_M))
    theta = model.maximise(np.zeros(model.size), rows)
    s, f = model.policies, model.styles
    centre = np.eye(model.size)
    centre[:s, :s] -= model.level
    bounded = model.information(theta, rows)
    bounded[:s, :s] += model.level
    covariance = centre @ np.linalg.pinv(bounded, hermitian=True) @ centre.T
    draws = _resampled(model, theta, bounded, resamples=resamples, seed=seed) @ centre.T
    low, high = _percentiles(draws, model.size)
    error = np.sqrt(np.maximum(np.diag(covariance), 0))
    met = np.zeros(s, dtype=bool)
    met[matches.first_M] = met[matches.second_M] = True
    theta = centre @ theta
    return Ratings(
        rating_S=np.where(met, theta[:s], np.nan),
        error_S=np.where(met, error[:s], np.nan),
        low_S=np.where(met, low[:s], np.nan),
        high_S=np.where(met, high[:s], np.nan),
        group_S=groups_of(matches),
        style_F=theta[s : s + f],
        style_error_F=error[s : s + f],
        style_low_F=low[s : s + f],
        style_high_F=high[s : s + f],
        tie=float(np.exp(theta[-1])) if model.has_ties else None,
        covariance=covariance,
        deviance=2 * (_saturated(model) - model.value(theta, rows) - _penalty(model, theta)),
        votes=float(model.total.sum()),
    )


def _penalty(model: Likelihood, theta: Floats) -> float:
    return float(model.penalty @ theta**2 / 2)


def _saturated(model: Likelihood) -> float:
    """The log-likelihood where every row has its own rates."""
    total = np.maximum(model.total, 1e-300)
    parts = (model.wins, model.losses, model.ties)
    return float(sum((n * np.log(np.where(n > 0, n / total, 1))).sum() for n in parts))


def _resampled(
    model: Likelihood, theta: Floats, bounded: Floats, *, resamples: int, seed: int
) -> Floats:
    """theta_R_C over resampled prompts: each fitted anew, or by one Newton step where that is much."""
    m = model.matches
    if m.prompts < LEAST_PROMPTS or not len(m.wins_M):
        return np.empty((0, model.size))
    rng = np.random.default_rng(seed)
    share = np.full(m.prompts, 1 / m.prompts)
    few = len(m.wins_M) <= REFITS
    score_G_C = np.empty((0, 0)) if few else model.prompt_scores(theta)
    draws = np.empty((resamples, model.size))
    for r in range(resamples):
        times_G = rng.multinomial(m.prompts, share).astype(np.float64)
        if few:
            draws[r] = model.maximise(theta, times_G[m.prompt_M], rounds=8)
        else:
            gradient = times_G @ score_G_C - model.penalty * theta
            draws[r] = theta + np.linalg.solve(bounded, gradient)
    return draws[np.isfinite(draws).all(axis=1)]


def _percentiles(draws_R_C: Floats, size: int) -> tuple[Floats, Floats]:
    if not len(draws_R_C):
        return np.full(size, np.nan), np.full(size, np.nan)
    low, high = np.percentile(draws_R_C, [2.5, 97.5], axis=0)
    return low, high
