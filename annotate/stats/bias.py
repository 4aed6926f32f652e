"""What sways people besides the answers' worth: the side, the length, the formatting.

One logistic regression over the votes for an answer:
    logit P(first preferred) = side (1 on the left, -1 on the right) + style differences
        + strength of the pair (if given) + each labeler's own departure in side and in length,
with normal priors: wide ones on what all share, narrow ones on labelers' departures, so that a
labeler with few votes is shown near everybody's effect (Bugakova et al. 2019, "Aggregation of pairwise
comparisons with reduction of biases"; FastChat's style control).
Every row is turned by its vote's sign: calling the answers the other way round changes no digit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from annotate.stats.consensus_model import halves, share_first
from annotate.stats.estimate import Floats, Ints, Measured
from annotate.stats.votes import Votes

SIDE, LENGTH, STRENGTH = "side", "length", "strength"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect(Measured):
    """A change of the log-odds of being preferred, with its standard error."""

    name: str

    @property
    def share(self) -> float:
        """How often it alone wins: of two equal answers the left one, or the one with more of it."""
        return float(1 / (1 + np.exp(-self.value)))


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelerBias:
    """One labeler's own effects, everybody's and their departure together."""

    labeler: int
    votes: int
    effects: tuple[Effect, ...]  # side, then the styles that labelers depart in


@dataclass(frozen=True, slots=True, kw_only=True)
class Bias:
    """overall: side, styles, strength; errors allow for votes on one pair going together (sandwich
    by pair: Liang and Zeger 1986). by_labeler: errors from the curvature of the posterior.
    """

    overall: tuple[Effect, ...]
    by_labeler: tuple[LabelerBias, ...]
    votes: int
    converged: bool


def fit_bias(
    first_N: npt.ArrayLike,
    pair_N: npt.ArrayLike,
    labeler_N: npt.ArrayLike,
    first_left_N: npt.ArrayLike,
    *,
    style_N_F: npt.ArrayLike | None = None,
    styles: Sequence[str] = (),
    strength_N: npt.ArrayLike | None = None,
    own_styles: int = 1,
    prior_deviation: float = 3.0,
    labeler_deviation: float = 0.5,
) -> Bias:
    """Fit to votes for an answer, one row each; ties and both-bad stay outside.

    first_N: whether the pair's first answer was preferred. first_left_N: whether it was on the left;
    nan where nobody knows. style_N_F: first minus second (annotate/stats/style.py), columns named by
    `styles`, length first. own_styles: in how many of them labelers have departures of their own.
    strength_N: the pair's strength in log-odds from elsewhere (`others_logit`, or the
    policies' ratings): style effects are then what goes beyond it.
    """
    sign = np.where(np.asarray(first_N, dtype=bool), 1.0, -1.0)
    rows = len(sign)
    side = np.nan_to_num(2 * np.asarray(first_left_N, dtype=np.float64) - 1)
    columns = [side]
    if style_N_F is not None:
        columns += list(np.asarray(style_N_F, dtype=np.float64).reshape(rows, len(styles)).T)
    own = min(1 + own_styles, len(columns))
    if strength_N is not None:
        columns.append(np.asarray(strength_N, dtype=np.float64))
    names = (
        [SIDE, *styles, STRENGTH][: len(columns)] if styles else [SIDE, STRENGTH][: len(columns)]
    )
    model = _Arrow(
        np.column_stack(columns) * sign[:, None],
        np.asarray(labeler_N, dtype=np.int64),
        own,
        1 / prior_deviation**2,
        1 / labeler_deviation**2,
    )
    shared, departure, converged = model.maximise()
    errors, own_errors = model.errors(shared, departure, np.asarray(pair_N, dtype=np.int64))
    overall = tuple(
        Effect(name=n, value=float(v), error=float(e))
        for n, v, e in zip(names, shared, errors, strict=True)
    )
    votes_L = np.bincount(model.labeler_N)
    by_labeler = tuple(
        LabelerBias(
            labeler=int(i),
            votes=int(votes_L[i]),
            effects=tuple(
                Effect(
                    name=names[j],
                    value=float(shared[j] + departure[i, j]),
                    error=float(own_errors[i, j]),
                )
                for j in range(own)
            ),
        )
        for i in np.flatnonzero(votes_L)
    )
    return Bias(overall=overall, by_labeler=by_labeler, votes=rows, converged=converged)


def others_logit(votes: Votes, *, agreement: float) -> Floats:
    """What the others' votes on a vote's pair say about its strength, in log-odds; 0 without others.

    A labeler's own vote is left out, or it would explain itself.
    """
    first_P, second_P = halves(votes.counts())
    half = np.array([1.0, 0.0, 0.5, 0.0])
    first_N = first_P[votes.pair_N] - half[votes.verdict_N]
    second_N = second_P[votes.pair_N] - half[[1, 0, 2, 3]][votes.verdict_N]
    share = share_first(first_N, second_N, agreement=agreement)
    other = share_first(second_N, first_N, agreement=agreement)
    return np.asarray(np.log(share) - np.log(other))


class _Arrow:
    """Ridge logistic regression whose Hessian is an arrow: shared columns, and a block a labeler.

    row_N_S: columns times the vote's sign, so that P(vote) = 1 / (1 + exp(-row . theta)).
    The first `own` columns have departures by labeler.
    """

    def __init__(
        self, row_N_S: Floats, labeler_N: Ints, own: int, wide: float, narrow: float
    ) -> None:
        self.row_N_S, self.labeler_N, self.own = row_N_S, labeler_N, own
        self.labelers = int(labeler_N.max(initial=-1)) + 1
        self.wide, self.narrow = wide, narrow

    def per_labeler(self, value_N: Floats) -> Floats:
        return np.asarray(np.bincount(self.labeler_N, value_N, self.labelers), np.float64)

    def margin(self, shared: Floats, departure: Floats) -> Floats:
        own = (self.row_N_S[:, : self.own] * departure[self.labeler_N]).sum(axis=1)
        return np.asarray(self.row_N_S @ shared + own)

    def value(self, shared: Floats, departure: Floats) -> float:
        fit = -np.logaddexp(0, -self.margin(shared, departure)).sum()
        penalty = self.wide * (shared**2).sum() + self.narrow * (departure**2).sum()
        return float(fit - penalty / 2)

    def curvature(self, wrong_N: Floats) -> tuple[Floats, Floats, Floats]:
        """Negative Hessian: shared block, labelers' blocks, and what ties them: S_S, L_O_O, L_O_S."""
        weight = wrong_N * (1 - wrong_N)
        weighed = self.row_N_S * weight[:, None]
        s, o = self.row_N_S.shape[1], self.own
        shared = self.row_N_S.T @ weighed
        shared = (shared + shared.T) / 2 + self.wide * np.eye(s)
        cross = np.empty((self.labelers, o, s))
        for i in range(o):
            for j in range(s):
                cross[:, i, j] = self.per_labeler(weighed[:, i] * self.row_N_S[:, j])
        return shared, cross[:, :, :o] + self.narrow * np.eye(o), cross

    def maximise(self) -> tuple[Floats, Floats, bool]:
        """Newton's method with halved steps."""
        shared = np.zeros(self.row_N_S.shape[1])
        departure = np.zeros((self.labelers, self.own))
        value = self.value(shared, departure)
        for _ in range(60):
            wrong = 1 / (1 + np.exp(np.clip(self.margin(shared, departure), -500, 500)))
            gradient = wrong @ self.row_N_S - self.wide * shared
            own = [self.per_labeler(wrong * self.row_N_S[:, j]) for j in range(self.own)]
            own_gradient = np.column_stack(own) - self.narrow * departure
            block, blocks, cross = self.curvature(wrong)
            inverse = np.linalg.inv(blocks)
            reduced = np.einsum("lop,lps->los", inverse, cross)
            schur = block - np.einsum("los,lot->st", cross, reduced)
            step = np.linalg.solve(schur, gradient - np.einsum("los,lo->s", reduced, own_gradient))
            own_step = np.einsum("lop,lp->lo", inverse, own_gradient) - reduced @ step
            size = 1.0
            while True:
                after = self.value(shared + size * step, departure + size * own_step)
                if after >= value - 1e-12 * abs(value) or size < 1e-6:
                    break
                size /= 2
            shared, departure, value = shared + size * step, departure + size * own_step, after
            if max(np.abs(step).max(), np.abs(own_step).max(initial=0)) * size < 1e-9:
                return shared, departure, True
        return shared, departure, False

    def errors(self, shared: Floats, departure: Floats, pair_N: Ints) -> tuple[Floats, Floats]:
        """Standard errors of shared effects (sandwich by pair), and of labelers' own (posterior)."""
        wrong = 1 / (1 + np.exp(np.clip(self.margin(shared, departure), -500, 500)))
        block, blocks, cross = self.curvature(wrong)
        inverse = np.linalg.inv(blocks)
        reduced = np.einsum("lop,lps->los", inverse, cross)
        covariance = np.linalg.inv(block - np.einsum("los,lot->st", cross, reduced))
        score = self.row_N_S.copy()
        for j in range(self.own):
            score -= self.row_N_S[:, j, None] * reduced[self.labeler_N, j]
        score *= wrong[:, None]
        by_pair = np.column_stack([np.bincount(pair_N, column) for column in score.T])
        sandwich = covariance @ (by_pair.T @ by_pair) @ covariance
        own = np.empty_like(departure)
        for j in range(self.own):
            about = reduced[:, j]
            moved = np.einsum("ls,st,lt->l", about, covariance, about)
            own[:, j] = covariance[j, j] + inverse[:, j, j] + moved - 2 * about @ covariance[j]
        return np.sqrt(np.diag(sandwich)), np.sqrt(own)
