"""Comparisons of policies as sums, with their likelihood under Bradley-Terry with ties.

With x the difference of two ratings plus what else tells the answers apart (side, style), Davidson's
model (Davidson 1970, equation 3) has
    P(first) : P(second) : P(tie) = exp(x / 2) : exp(-x / 2) : nu.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from annotate.stats.estimate import Floats, Ints


class Ties(StrEnum):
    """What a tie is: an outcome of its own, or half a win for each (as leaderboards count)."""

    DAVIDSON = "davidson"
    HALF = "half"


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """One row per comparison, or per sum of comparisons alike; first_M < second_M are policies.

    style_M_F: first minus second. prompt_M: what is resampled.
    """

    first_M: Ints
    second_M: Ints
    wins_M: Floats
    losses_M: Floats
    ties_M: Floats
    style_M_F: Floats
    prompt_M: Ints
    policies: int
    prompts: int


def matches_of(
    first_M: npt.ArrayLike,
    second_M: npt.ArrayLike,
    wins_M: npt.ArrayLike,
    losses_M: npt.ArrayLike,
    ties_M: npt.ArrayLike | None = None,
    *,
    style_M_F: npt.ArrayLike | None = None,
    prompt_M: npt.ArrayLike | None = None,
    policies: int | None = None,
) -> Matches:
    """Matches of sequences; wins are the first policy's, losses the second's.

    style_M_F: how much more of something the first policy's answer has than the second's; the side
    is one such (1 where the first policy's answer was on the left, -1 on the right).
    Every row is turned so that the lower policy is first: which one was called the first, in all rows
    or in some, changes no digit of what follows. Rows of one prompt, two policies and the same style
    are added up. Rows of a policy against itself tell nothing and are left out.
    """
    first, second = (np.asarray(a, dtype=np.int64) for a in (first_M, second_M))
    rows = len(first)
    wins, losses = (np.asarray(a, dtype=np.float64) for a in (wins_M, losses_M))
    ties = np.zeros(rows) if ties_M is None else np.asarray(ties_M, dtype=np.float64)
    shape = (rows, -1) if rows else (0, 0)
    style = np.zeros((rows, 0)) if style_M_F is None else np.asarray(style_M_F, dtype=np.float64)
    style = style.reshape(shape) if style.size else np.zeros((rows, 0))
    given = np.arange(rows) if prompt_M is None else np.asarray(prompt_M)
    names, prompt = np.unique(given, return_inverse=True)
    count = int(max(first.max(initial=-1), second.max(initial=-1))) + 1
    turn = first > second
    sign = np.where(turn, -1.0, 1.0)[:, None]
    table = np.column_stack(
        [prompt, np.minimum(first, second), np.maximum(first, second), style * sign + 0.0]
    )[first != second]
    alike, row = np.unique(table, axis=0, return_inverse=True)
    row = row.ravel()

    def added(values: Floats) -> Floats:
        return np.asarray(np.bincount(row, values[first != second], len(alike)), np.float64)

    return Matches(
        first_M=alike[:, 1].astype(np.int64),
        second_M=alike[:, 2].astype(np.int64),
        wins_M=added(np.where(turn, losses, wins)),
        losses_M=added(np.where(turn, wins, losses)),
        ties_M=added(ties),
        style_M_F=alike[:, 3:],
        prompt_M=alike[:, 0].astype(np.int64),
        policies=count if policies is None else policies,
        prompts=len(names),
    )


def groups_of(matches: Matches) -> Ints:
    """Number policies by who can be compared: those linked by matches share one, from 0."""
    group = np.arange(matches.policies, dtype=np.int64)
    while True:
        lower = np.minimum(group[matches.first_M], group[matches.second_M])
        after = group.copy()
        np.minimum.at(after, matches.first_M, lower)
        np.minimum.at(after, matches.second_M, lower)
        if (after == group).all():
            return np.unique(group, return_inverse=True)[1].astype(np.int64)
        group = after


class Likelihood:
    """Penalised log-likelihood of weighted rows; theta holds ratings, style effects, then log nu."""

    def __init__(self, matches: Matches, ties: Ties, ridge: float) -> None:
        half = matches.ties_M / 2 if ties is Ties.HALF else 0.0
        self.wins, self.losses = matches.wins_M + half, matches.losses_M + half
        self.ties = matches.ties_M * (ties is Ties.DAVIDSON)
        self.total = self.wins + self.losses + self.ties
        self.has_ties = bool(self.ties.any())
        self.matches = matches
        self.policies, self.styles = matches.policies, matches.style_M_F.shape[1]
        self.size = self.policies + self.styles + self.has_ties
        self.penalty = np.full(self.size, ridge)
        group = groups_of(matches)
        same = group[:, None] == group[None, :]
        # Nothing is known of a group's mean: without this the Hessian has no inverse there.
        self.level = same / same.sum(axis=1, keepdims=True)

    def chances(self, theta: Floats) -> tuple[Floats, Floats, Floats]:
        """Per row: P(first), P(second), P(tie)."""
        m, s = self.matches, self.policies
        x = theta[m.first_M] - theta[m.second_M] + m.style_M_F @ theta[s : s + self.styles]
        if not self.has_ties:
            first, second = np.exp(-np.logaddexp(0, -x)), np.exp(-np.logaddexp(0, x))
            return first, second, np.zeros(len(x))
        total = np.logaddexp(np.logaddexp(x / 2, -x / 2), theta[-1])
        return np.exp(x / 2 - total), np.exp(-x / 2 - total), np.exp(theta[-1] - total)

    def value(self, theta: Floats, weight_M: Floats) -> float:
        """The log-likelihood of the weighted rows, less the penalty."""
        terms = zip(self.chances(theta), (self.wins, self.losses, self.ties), strict=True)
        rows = sum(n * np.log(np.where(n > 0, np.maximum(p, 1e-300), 1)) for p, n in terms)
        return float(weight_M @ rows - self.penalty @ theta**2 / 2)

    def gradient(self, theta: Floats, weight_M: Floats) -> Floats:
        along, along_nu = self._slopes(theta)
        along = along * weight_M
        m = self.matches
        parts = [
            np.bincount(m.first_M, along, self.policies)
            - np.bincount(m.second_M, along, self.policies),
            along @ m.style_M_F,
        ]
        if self.has_ties:
            parts.append(np.array([weight_M @ along_nu]))
        return np.asarray(np.concatenate(parts) - self.penalty * theta)

    def prompt_scores(self, theta: Floats) -> Floats:
        """What every prompt adds to the gradient, scores_G_C; without the penalty."""
        along, along_nu = self._slopes(theta)
        m, s = self.matches, self.policies
        first, second = (
            np.bincount(m.prompt_M * s + who_M, along, m.prompts * s)
            for who_M in (m.first_M, m.second_M)
        )
        columns = [np.bincount(m.prompt_M, along * c, m.prompts) for c in m.style_M_F.T]
        if self.has_ties:
            columns.append(np.bincount(m.prompt_M, along_nu, m.prompts))
        return np.column_stack([(first - second).reshape(m.prompts, s), *columns])

    def _slopes(self, theta: Floats) -> tuple[Floats, Floats]:
        """Per row: derivative of the log-likelihood along x, and along log nu."""
        first, second, tie = self.chances(theta)
        if self.has_ties:
            along = (self.wins - self.losses) / 2 - self.total * (first - second) / 2
        else:
            along = self.wins * second - self.losses * first
        return along, self.ties - self.total * tie

    def information(self, theta: Floats, weight_M: Floats) -> Floats:
        """The negative Hessian; expected and observed are the same in this family."""
        first, second, tie = self.chances(theta)
        scale = (first + second - (first - second) ** 2) / 4 if self.has_ties else first * second
        h = weight_M * self.total * scale
        m, s, f = self.matches, self.policies, self.styles
        found = np.zeros((self.size, self.size))
        cross = np.bincount(m.first_M * s + m.second_M, h, s * s).reshape(s, s)
        found[:s, :s] = np.diag(cross.sum(axis=0) + cross.sum(axis=1)) - cross - cross.T
        columns = [
            np.bincount(m.first_M, h * c, s) - np.bincount(m.second_M, h * c, s)
            for c in m.style_M_F.T
        ]
        if columns:
            found[:s, s : s + f] = np.column_stack(columns)
        found[s : s + f, s : s + f] = m.style_M_F.T @ (h[:, None] * m.style_M_F)
        if self.has_ties:
            k = -weight_M * self.total * (first - second) * tie / 2
            found[:s, -1] = np.bincount(m.first_M, k, s) - np.bincount(m.second_M, k, s)
            found[s : s + f, -1] = k @ m.style_M_F
            found[-1, -1] = weight_M @ (self.total * tie * (1 - tie))
        upper = np.triu(found)
        return np.asarray(upper + np.triu(upper, 1).T + np.diag(self.penalty))

    def step(self, theta: Floats, information: Floats, weight_M: Floats) -> Floats:
        """Newton's step."""
        s = self.policies
        bounded = information.copy()
        bounded[:s, :s] += self.level
        return np.asarray(np.linalg.lstsq(bounded, self.gradient(theta, weight_M), rcond=None)[0])

    def maximise(self, theta: Floats, weight_M: Floats, *, rounds: int = 100) -> Floats:
        """Newton's method with halved steps; stops where no step moves anything by 1e-10."""
        value = self.value(theta, weight_M)
        for _ in range(rounds):
            step = self.step(theta, self.information(theta, weight_M), weight_M)
            while True:
                after = self.value(theta + step, weight_M)
                if after >= value - 1e-12 * abs(value) or np.abs(step).max(initial=0) < 1e-12:
                    break
                step = step / 2
            theta, value = theta + step, after
            if np.abs(step).max(initial=0) < 1e-10:
                break
        return theta
