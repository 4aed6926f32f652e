"""Implicit rewards of a trained policy: beta times the log-ratio to the reference
(Rafailov et al. 2023, section 4). They say where the policy and the people differ.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from train.examples import Example
from train.ranks import most, rank, summed, world
from train.reference import Reference, Score, batches

SCORED_TOKENS = 8192  # padded, at once


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
    training = model.training
    model.eval()
    chosen, rejected = [0.0] * len(examples), [0.0] * len(examples)
    mine = range(rank(), len(examples), world())
    for i in range(most(len(mine))):
        place = mine[i] if i < len(mine) else 0  # a sharded model answers where all processes ask
        e = examples[place]
        found = _scores(e.sequences(), model, pad_id)
        if i < len(mine):
            chosen[place], rejected[place] = found
    model.train(training)
    return [
        Reward(pair_id=e.pair_id, chosen=c, rejected=j)
        for e, c, j in zip(examples, summed(chosen), summed(rejected), strict=True)
    ]


def scores_by_model(
    conversations: Sequence[tuple[int, ...]], model: Any, *, pad_id: int
) -> list[float]:
    """A reward model's output at the last token of each conversation; in one process."""
    training = model.training
    model.eval()
    found = [0.0] * len(conversations)
    order = sorted(range(len(conversations)), key=lambda i: -len(conversations[i]))
    for places in batches(order, [(ids, 0) for ids in conversations], SCORED_TOKENS):
        rows = [conversations[place] for place in places]
        for place, score in zip(places, _scores(rows, model, pad_id), strict=True):
            found[place] = score
    model.train(training)
    return found


def _scores(rows: Sequence[tuple[int, ...]], model: Any, pad_id: int) -> list[float]:
    import torch
    from torch.nn.utils.rnn import pad_sequence

    ids = [torch.tensor(row) for row in rows]
    ids_B_T = pad_sequence(ids, batch_first=True, padding_value=pad_id)
    mask_B_T = pad_sequence([torch.ones_like(i) for i in ids], batch_first=True)
    with torch.inference_mode():
        scores_B_1 = model(
            input_ids=ids_B_T.to(model.device), attention_mask=mask_B_T.to(model.device)
        ).logits
    found: list[float] = scores_B_1.float()[:, 0].tolist()
    return found


def accuracy_of(rewards: Sequence[Reward]) -> float:
    """Share of the pairs where the policy agrees with the label; nan without pairs."""
    return sum(r.margin > 0 for r in rewards) / len(rewards) if rewards else math.nan


def doubtful(rewards: Sequence[Reward], *, most: int) -> list[Reward]:
    """The pairs whose label the policy contradicts most: labels worth a second look."""
    return sorted((r for r in rewards if r.margin < 0), key=lambda r: r.margin)[:most]
