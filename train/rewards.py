"""Implicit rewards of a trained policy: beta times the log-ratio to the reference
(Rafailov et al. 2023, section 4). They say where the policy and the people differ.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from train.examples import Example
from train.ranks import most, rank, summed, world
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


def rewards_per_token(examples: Sequence[Example], score: Score, *, scale: float) -> list[Reward]:
    """Scale times the log-probability per token (Meng et al. 2024, eq. 4): without a reference."""
    if not examples:
        return []
    now = score([(ids, len(e.prompt_ids)) for e in examples for ids in e.sequences()])
    return [
        Reward(
            pair_id=e.pair_id,
            chosen=scale * c / len(e.chosen_ids),
            rejected=scale * j / len(e.rejected_ids),
        )
        for e, c, j in zip(examples, now[::2], now[1::2], strict=True)
    ]


def rewards_by_model(examples: Sequence[Example], model: Any, *, pad_id: int) -> list[Reward]:
    """What a reward model says of each conversation."""
    import torch

    training = model.training
    model.eval()
    chosen, rejected = [0.0] * len(examples), [0.0] * len(examples)
    mine = range(rank(), len(examples), world())
    for i in range(most(len(mine))):
        place = mine[i] if i < len(mine) else 0  # a sharded model answers where all processes ask
        e = examples[place]
        ids_2_T, mask_2_T = (
            torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)
            for rows, value in (
                ([torch.tensor(ids) for ids in e.sequences()], pad_id),
                ([torch.ones(len(ids), dtype=torch.long) for ids in e.sequences()], 0),
            )
        )
        with torch.inference_mode():
            scores_2_1 = model(
                input_ids=ids_2_T.to(model.device), attention_mask=mask_2_T.to(model.device)
            ).logits
        if i < len(mine):
            chosen[place], rejected[place] = scores_2_1.float()[:, 0].tolist()
    model.train(training)
    return [
        Reward(pair_id=e.pair_id, chosen=c, rejected=j)
        for e, c, j in zip(examples, summed(chosen), summed(rejected), strict=True)
    ]


def accuracy_of(rewards: Sequence[Reward]) -> float:
    """Share of the pairs where the policy agrees with the label; nan without pairs."""
    return sum(r.margin > 0 for r in rewards) / len(rewards) if rewards else math.nan


def doubtful(rewards: Sequence[Reward], *, most: int) -> list[Reward]:
    """The pairs whose label the policy contradicts most: labels worth a second look."""
    return sorted((r for r in rewards if r.margin < 0), key=lambda r: r.margin)[:most]
