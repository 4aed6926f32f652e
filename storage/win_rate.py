"""How often one policy wins against another, with its interval. Pure.

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
_AT_ONCE = 500


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """One comparison, from the policy's own side. points: 1 won, 0 lost, 0.5 neither."""

    prompt_id: str
    points: float
    chars: int
    against_chars: int


def win_rate(outcomes: Sequence[Outcome], *, policy: str, against: str, seed: int = 0) -> WinRate:
    """Of `policy` over `against` (policy ids), from the settled pairs in which the two meet.

    The interval resamples prompts (percentile bootstrap), because answers to one prompt stand or
    fall together. Where every prompt has the same share resampling shows no spread, so the Wilson
    score interval over prompts (Wilson 1927) is taken there, which is never empty.
    """
    return rate_of(met(outcomes, policy=policy, against=against), seed=seed)


def met(outcomes: Sequence[Outcome], *, policy: str, against: str) -> list[Met]:
    """The comparisons in which the two meet."""
    found = []
    for outcome in outcomes:
        if (outcome.first_policy, outcome.second_policy) == (policy, against):
            verdict = Verdict(outcome.verdict)
            chars, others = outcome.first_chars, outcome.second_chars
        elif (outcome.second_policy, outcome.first_policy) == (policy, against):
            verdict = Verdict(outcome.verdict).swapped()
            chars, others = outcome.second_chars, outcome.first_chars
        else:
            continue
        found.append(
            Met(
                prompt_id=outcome.prompt_id,
                points=_points(verdict),
                chars=chars,
                against_chars=others,
            )
        )
    return found


def _points(verdict: Verdict) -> float:
    match verdict:
        case Verdict.FIRST:
            return 1.0
        case Verdict.SECOND:
            return 0.0
        case Verdict.TIE | Verdict.BOTH_BAD:
            return 0.5
        case Verdict.SKIP:
            raise AssertionError("a skip compares nothing")
        case _:
            assert_never(verdict)


def rate_of(seen: Sequence[Met], *, seed: int = 0) -> WinRate:
    """The win rate of these."""
    points: dict[str, list[float]] = defaultdict(list)
    for one in seen:
        points[one.prompt_id].append(one.points)
    low, value, high = _interval(list(points.values()), seed=seed)
    return WinRate(
        wins=sum(s.points == 1.0 for s in seen),
        ties=sum(s.points == 0.5 for s in seen),
        losses=sum(s.points == 0.0 for s in seen),
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
    rates = []
    for _ in range(RESAMPLES // _AT_ONCE):  # all at once would be gigabytes of many prompts
        drawn = rng.integers(0, n, (_AT_ONCE, n))
        rates.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    low, high = np.quantile(np.concatenate(rates), [0.025, 0.975])
    return float(low), value, float(high)
