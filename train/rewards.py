"""Implicit rewards of a trained policy: beta times the log-ratio to the reference
(Rafailov et al. 2023, section 4). They say where the policy and the people differ.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from train.examples import Example
from train.reference import Reference, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """Of one pair's answers."""

    pair_id: str
    chosen: float
    rejected: float

    @property
    def margin(self) -> float:
        """Positive where the policy agrees with the label."""
        return self.chosen - self.rejected


def rewards_of(
    examples: Sequence[Example], reference: Reference, score: Score, *, beta: float
) -> list[Reward]:
    """Rewards of the pairs under the policy that `score` asks."""
    if not examples:
        return []
    now = score([(ids, len(e.prompt_ids)) for e in examples for ids in e.sequences()])
    return [
        Reward(pair_id=e.pair_id, chosen=beta * (c - rc), rejected=beta * (j - rj))
        for e, c, j, rc, rj in zip(
            examples, now[::2], now[1::2], reference.chosen, reference.rejected, strict=True
        )
    ]


def accuracy_of(rewards: Sequence[Reward]) -> float:
    """Share of the pairs where the policy agrees with the label; nan without pairs."""
    return sum(r.margin > 0 for r in rewards) / len(rewards) if rewards else math.nan


def doubtful(rewards: Sequence[Reward], *, most: int) -> list[Reward]:
    """The pairs whose label the policy contradicts most: labels worth a second look."""
    return sorted((r for r in rewards if r.margin < 0), key=lambda r: r.margin)[:most]
