"""The win rate of a policy against another, with its interval. Pure.

A tie counts half for each; so does "both bad", which prefers neither.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np

from storage.intervals import wilson
from storage.records import Verdict
from storage.summaries import Outcome

RESAMPLES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WinRate:
    """Share of comparisons won, in [0, 1], with its 95 % interval; prompts are what is resampled.

    nan where there is nothing to count.
    """

    wins: int
    ties: int
    losses: int
    prompts: int
    value: float
    low: float
    high: float

    @property
    def comparisons(self) -> int:
        return self.wins + self.ties + self.losses


def win_rate(outcomes: Sequence[Outcome], *, policy: str, against: str, seed: int = 0) -> WinRate:
    """Of `policy` over `against` (policy ids), from the settled pairs in which the two meet.

    The interval resamples prompts (percentile bootstrap), because answers to one prompt stand or
    fall together. Where every prompt has the same share resampling shows no spread, so the Wilson
    score interval over prompts (Wilson 1927) is taken there, which is never empty.
    """
    points: dict[str, list[float]] = defaultdict(list)
    wins = ties = losses = 0
    for outcome in outcomes:
        if (outcome.first_policy, outcome.second_policy) == (policy, against):
            verdict = Verdict(outcome.verdict)
        elif (outcome.second_policy, outcome.first_policy) == (policy, against):
            verdict = Verdict(outcome.verdict).swapped()
        else:
            continue
        match verdict:
            case Verdict.FIRST:
                wins += 1
                points[outcome.prompt_id].append(1.0)
            case Verdict.SECOND:
                losses += 1
                points[outcome.prompt_id].append(0.0)
            case Verdict.TIE | Verdict.BOTH_BAD:
                ties += 1
                points[outcome.prompt_id].append(0.5)
            case Verdict.SKIP:
                raise AssertionError("a skip is never a consensus")
            case _:
                assert_never(verdict)
    low, value, high = _interval(list(points.values()), seed=seed)
    return WinRate(
        wins=wins,
        ties=ties,
        losses=losses,
        prompts=len(points),
        value=value,
        low=low,
        high=high,
    )


def _interval(points: Sequence[Sequence[float]], *, seed: int) -> tuple[float, float, float]:
    n = len(points)
    if n == 0:
        return math.nan, math.nan, math.nan
    sums = np.array([sum(p) for p in points])
    counts = np.array([len(p) for p in points], dtype=float)
    value = float(sums.sum() / counts.sum())
    if np.ptp(sums / counts) == 0:
        low, high = wilson(value * n, n)
        return low, value, high
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, n, (RESAMPLES, n))
    rates = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(rates, [0.025, 0.975])
    return float(low), value, float(high)
