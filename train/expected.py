"""The loss of rows before the first step, worked out apart from the trainer.

kto     1 - s(b (r - z)) wanted, 1 - s(b (z - r)) not; z: the batch's mean divergence, at least 0
        (Ethayarajh et al. 2024, eq. 7); 0.5 where policy and reference are equal
sft     -log p per token of the answers
reward  -log s(-margin): every score is 0; log 2 without a margin (Touvron et al. 2023, eq. 2)
simpo   -log s(b (c - j) - gamma), c and j log p per token (Meng et al. 2024, eq. 6)
orpo    -log p per token of prompt and chosen answer, less b log s(log odds ratio)
        (Hong et al. 2024, eq. 6 and 7)

Of kto, reward and simpo each row's loss is multiplied by its weight.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from train.config import Method, TrainConfig
from train.reference import Score

Row = Mapping[str, Any]


def expected_loss(
    config: TrainConfig, rows: Sequence[Row], score: Score, *, weights: tuple[float, float]
) -> float:
    """Of one batch of train/trl_methods.py's rows. weights: KTO's, desirable and undesirable."""
    match config.method:
        case Method.KTO:
            return _kto(config, rows, score, weights)
        case Method.SFT:
            logp_B, tokens_B = _logps(rows, score, "input_ids", "labels")
            return float(-logp_B.sum() / tokens_B.sum())
        case Method.REWARD:
            margin_B = torch.tensor([float(r["margin"]) for r in rows])
            return float(-(_weights(rows) * logsigmoid(-margin_B)).mean())
        case Method.SIMPO:
            c_B, j_B = _sides(rows, score)
            margin_B = config.beta * (c_B - j_B) - config.simpo_gamma
            return float(-(_weights(rows) * logsigmoid(margin_B)).mean())
        case Method.ORPO:
            c_B, j_B = _sides(rows, score)
            odds_B = (c_B - j_B) - (torch.log1p(-c_B.exp()) - torch.log1p(-j_B.exp()))
            whole = [tuple(r["chosen_input_ids"]) for r in rows]
            own = -sum(score([(ids, 1) for ids in whole])) / sum(len(ids) - 1 for ids in whole)
            return float(own - config.beta * logsigmoid(odds_B).mean())
        case Method.DPO | Method.GRPO | Method.RLOO:
            raise AssertionError("those are in train/dry_step.py and train/rlhf.py")


def _weights(rows: Sequence[Row]) -> Tensor:
    return torch.tensor([float(r["weight"]) for r in rows])


def _sides(rows: Sequence[Row], score: Score) -> tuple[Tensor, Tensor]:
    """Log-probability per token of the chosen and the rejected answers."""
    chosen, rejected = (
        _logps(rows, score, f"{side}_input_ids", f"{side}_labels")
        for side in ("chosen", "rejected")
    )
    return chosen[0] / chosen[1], rejected[0] / rejected[1]


def _logps(rows: Sequence[Row], score: Score, ids: str, labels: str) -> tuple[Tensor, Tensor]:
    starts = [next(i for i, label in enumerate(r[labels]) if label >= 0) for r in rows]
    found = score([(tuple(r[ids]), start) for r, start in zip(rows, starts, strict=True)])
    tokens = [len(r[ids]) - start for r, start in zip(rows, starts, strict=True)]
    return torch.tensor(found), torch.tensor(tokens)


def _kto(
    config: TrainConfig, rows: Sequence[Row], score: Score, weights: tuple[float, float]
) -> float:
    ratios = [
        torch.tensor(
            score([(tuple(r["prompt_ids"] + r[name]), len(r["prompt_ids"])) for r in rows])
        )
        - torch.tensor([float(r[reference]) for r in rows])
        for name, reference in (
            ("completion_ids", "ref_logps"),
            ("KL_completion_ids", "ref_KL_logps"),
        )
    ]
    kl = ratios[1].mean().clamp(min=0)
    wanted_B = torch.tensor([bool(r["label"]) for r in rows])
    losses_B = 1 - torch.sigmoid(config.beta * (ratios[0] - kl) * torch.where(wanted_B, 1, -1))
    return float((_weights(rows) * losses_B * torch.where(wanted_B, *weights)).mean())
