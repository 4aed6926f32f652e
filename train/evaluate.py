"""A policy against another: win rate with its interval, at equal length too. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from storage.summaries import Outcome
from storage.win_rate import WinRate, met, rate_of
from train.length_control import LengthControlled, length_controlled


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All that is said about one policy against another; chars: mean length of each one's answers.

    nan where there is nothing to count.
    """

    rate: WinRate
    at_equal_length: LengthControlled
    chars: float
    against_chars: float


def compared(outcomes: Sequence[Outcome], *, policy: str, against: str) -> Comparison:
    """`policy` over `against` (policy ids), from the comparisons in which the two meet."""
    seen = met(outcomes, policy=policy, against=against)
    chars = np.array([s.chars for s in seen], dtype=float)
    against_chars = np.array([s.against_chars for s in seen], dtype=float)
    return Comparison(
        rate=rate_of(seen),
        at_equal_length=length_controlled(
            [s.points for s in seen], chars - against_chars, prompts=[s.prompt_id for s in seen]
        ),
        chars=float(chars.mean()) if seen else math.nan,
        against_chars=float(against_chars.mean()) if seen else math.nan,
    )
