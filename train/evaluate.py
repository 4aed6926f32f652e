"""A policy against another: win rate with its interval, at equal length too. Pure.

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
from train.length_control import LengthControlled, length_controlled

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All that is said about one policy against another; chars: mean length of each one's answers.

    nan where there is nothing to count.
    """

    rate: WinRate
    at_equal_length: LengthControlled
    chars: float
    against_chars: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """One comparison, from the policy's own side. points: 1 won, 0 lost, 0.5 neither."""

    prompt_id: str
    points: float
    chars: int
    against_chars: int


def compared(outcomes: Sequence[Outcome], *, policy: str, against: str) -> Comparison:
    """`policy` over `against` (policy ids), from the comparisons in which the two meet."""
    seen = _seen(outcomes, policy=policy, against=against)
    chars = np.array([s.chars for s in seen], dtype=float)
    against_chars = np.array([s.against_chars for s in seen], dtype=float)
    return Comparison(
        rate=_rate(seen, seed=0),
        at_equal_length=length_controlled(
            [s.points for s in seen], chars - against_chars, prompts=[s.prompt_id for s in seen]
        ),
        chars=float(chars.mean()) if seen else math.nan,
        against_chars=float(against_chars.mean()) if seen else math.nan,
    )


def win_rate(outcomes: Sequence[Outcome], *, policy: str, against: str, seed: int = 0) -> WinRate:
    """Of `policy` over `against` (policy ids), from the settled pairs in which the two meet.

    The interval resamples prompts (percentile bootstrap), because answers to one prompt stand or
    fall together. Where every prompt has the same share resampling shows no spread, so the Wilson
    score interval over prompts (Wilson 1927) is taken there, which is never empty.
    """
    return _rate(_seen(outcomes, policy=policy, against=against), seed=seed)


def _seen(outcomes: Sequence[Outcome], *, policy: str, against: str) -> list[_Seen]:
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
            _Seen(
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


def _rate(seen: Sequence[_Seen], *, seed: int) -> WinRate:
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
    drawn = rng.integers(0, n, (RESAMPLES, n))
    rates = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(rates, [0.025, 0.975])
    return float(low), value, float(high)
