"""The win rate two policies would have if their answers were equally long. Pure.

People and judges like longer answers, so a policy can win by length alone. As AlpacaEval 2 does
(Dubois et al. 2024, "Length-Controlled AlpacaEval", section 3), a logistic regression explains
each comparison by the policies and by the difference in length,

    logit P(win) = theta + phi * tanh((own length - other's length) / its standard deviation)

and the win rate is read off where that difference is zero: 1 / (1 + exp(-theta)). AlpacaEval's
third term, how hard each of its 805 instructions is, comes from models it has compared before;
other prompts have no such number, and the term is left out. A tie counts as half a win.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storage.intervals import Z, wilson

MIN_COMPARISONS = 10
TOLERANCE = 1e-12  # of a step, in log-odds
MAX_STEPS = 100

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthControlled:
    """A share in [0, 1] with its 95 % interval; nan, and why in `missing`, where none can be had.

    effect: phi, the log-odds that a much longer answer wins over an equally good one.
    """

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    effect: float = math.nan
    missing: str = ""


def length_controlled(
    points: Sequence[float], more_chars: npt.ArrayLike, *, prompts: Sequence[str]
) -> LengthControlled:
    """points: 1 won, 0 lost, 0.5 neither; more_chars: own length minus the other's; both per pair.

    The interval is Wald's on the log-odds, with errors clustered by prompt (the sandwich of Liang
    and Zeger 1986, with the usual correction for few clusters), because answers to one prompt
    stand or fall together.
    """
    y_N = np.asarray(points, dtype=np.float64)
    more_N = np.asarray(more_chars, dtype=np.float64)
    groups = len(set(prompts))
    if len(y_N) < MIN_COMPARISONS or groups < 3:
        return LengthControlled(missing=f"fewer than {MIN_COMPARISONS} comparisons")
    spread = float(more_N.std(ddof=1))
    if spread == 0:
        return LengthControlled(missing="every difference in length is the same")
    x_N = np.tanh(more_N / spread)
    if _separated(y_N, x_N):
        return LengthControlled(
            missing="length alone tells wins from losses, or all came out alike"
        )
    design_N_2 = np.column_stack([np.ones_like(x_N), x_N])
    beta_2 = _fit(design_N_2, y_N)
    error = _clustered_error(design_N_2, y_N, beta_2, prompts)
    theta, effect = float(beta_2[0]), float(beta_2[1])
    value = _share(theta)
    low, high = _share(theta - Z * error), _share(theta + Z * error)
    if error < math.sqrt(TOLERANCE):  # every comparison a tie: no spread is no certainty
        low, high = wilson(value * groups, groups)
    return LengthControlled(value=value, low=low, high=high, effect=effect)


def _separated(y_N: Floats, x_N: Floats) -> bool:
    """Whether a threshold on x splits wins from losses: the fit would run to infinity.

    Albert and Anderson 1984; a tie stands on both sides.
    """
    won_N, lost_N = x_N[y_N > 0], x_N[y_N < 1]
    if not len(won_N) or not len(lost_N):
        return True
    return bool(won_N.max() <= lost_N.min() or lost_N.max() <= won_N.min())


def _fit(design_N_2: Floats, y_N: Floats) -> Floats:
    """Maximum likelihood by Newton's method, each step halved until it is uphill."""
    beta_2 = np.zeros(2)
    for _ in range(MAX_STEPS):
        p_N = _chance(design_N_2 @ beta_2)
        step_2 = np.linalg.solve(_information(design_N_2, p_N), design_N_2.T @ (y_N - p_N))
        now = _likelihood(design_N_2 @ beta_2, y_N)
        while _likelihood(design_N_2 @ (beta_2 + step_2), y_N) < now - TOLERANCE * abs(now):
            step_2 /= 2
        beta_2 = beta_2 + step_2
        if np.abs(step_2).max() < TOLERANCE:
            break
    return beta_2


def _clustered_error(
    design_N_2: Floats, y_N: Floats, beta_2: Floats, prompts: Sequence[str]
) -> float:
    """The standard error of theta."""
    p_N = _chance(design_N_2 @ beta_2)
    names, group_N = np.unique(np.asarray(prompts), return_inverse=True)
    score_G_2 = np.zeros((len(names), 2))
    np.add.at(score_G_2, group_N, design_N_2 * (y_N - p_N)[:, None])
    inverse = np.linalg.inv(_information(design_N_2, p_N))
    n, g = len(y_N), len(names)
    few = g / (g - 1) * (n - 1) / (n - 2)
    return math.sqrt(few * float((inverse @ (score_G_2.T @ score_G_2) @ inverse)[0, 0]))


def _information(design_N_2: Floats, p_N: Floats) -> Floats:
    return np.asarray((design_N_2 * (p_N * (1 - p_N))[:, None]).T @ design_N_2)


def _likelihood(eta_N: Floats, y_N: Floats) -> float:
    return float((y_N * eta_N - np.logaddexp(0, eta_N)).sum())


def _chance(eta_N: Floats) -> Floats:
    return np.asarray(np.exp(-np.logaddexp(0, -eta_N)))


def _share(logit: float) -> float:
    return float(_chance(np.array([logit]))[0])
