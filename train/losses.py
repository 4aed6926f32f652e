"""The preference losses, per pair. Pure functions of how far the policy has moved.

With r = log policy - log reference of a whole answer (nats), c for the chosen, j for the rejected:

    sigmoid       -log s(b (c - j))                      Rafailov et al. 2023, eq. 7
    sigmoid_norm  the same on r per answer token         Lambert et al. 2024 (Tulu 3), section 5.1
    ipo           (c - j - 1 / 2b)^2, r per token        Azar et al. 2023, eq. 17
    robust        sigmoid with known flip rate           Chowdhury et al. 2024, eq. 12
    hinge         max(0, 1 - b (c - j))                  Zhao et al. 2023 (SLiC)
    apo_zero      1 - s(b c) + s(b j)                    D'Oosterlinck et al. 2024, eq. 7
    apo_down      s(b c) + 1 - s(b (c - j))              the same, eq. 8

Before the first step c = j = 0, so each has a known value there (AT_START).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, relu

from train.config import Loss

PER_TOKEN = (Loss.SIGMOID_NORM, Loss.IPO)  # log-ratios are divided by the answers' tokens

_AT_START: dict[Loss, Callable[[float], float]] = {
    Loss.SIGMOID: lambda _: math.log(2),
    Loss.SIGMOID_NORM: lambda _: math.log(2),
    Loss.IPO: lambda beta: (1 / (2 * beta)) ** 2,
    Loss.ROBUST: lambda _: math.log(2),
    Loss.HINGE: lambda _: 1.0,
    Loss.APO_ZERO: lambda _: 1.0,
    Loss.APO_DOWN: lambda _: 1.0,
}


def loss_at_start(loss: Loss, *, beta: float) -> float:
    """The loss while the policy is the reference, whatever the data and the soft labels."""
    return _AT_START[loss](beta)


def pair_losses(
    loss: Loss,
    chosen_B: Tensor,
    rejected_B: Tensor,
    *,
    beta: float,
    probability_B: Tensor,
    flip_rate: float,
) -> Tensor:
    """Loss of each pair, [B]. chosen_B, rejected_B: log-ratios; per token for those of PER_TOKEN.

    probability_B: that the chosen answer is the better one. Below 1 it mixes in the loss of the
    swapped pair (conservative DPO, Mitchell 2023); at 0.5 a pair pulls neither way.
    """
    straight_B = _losses(loss, chosen_B, rejected_B, beta=beta, flip_rate=flip_rate)
    if bool((probability_B == 1).all()):
        return straight_B
    swapped_B = _losses(loss, rejected_B, chosen_B, beta=beta, flip_rate=flip_rate)
    return probability_B * straight_B + (1 - probability_B) * swapped_B


def _losses(loss: Loss, c_B: Tensor, j_B: Tensor, *, beta: float, flip_rate: float) -> Tensor:
    margin_B = beta * (c_B - j_B)
    match loss:
        case Loss.SIGMOID | Loss.SIGMOID_NORM:
            return -logsigmoid(margin_B)
        case Loss.IPO:
            return (c_B - j_B - 1 / (2 * beta)) ** 2
        case Loss.ROBUST:
            kept_B, flipped_B = -logsigmoid(margin_B), -logsigmoid(-margin_B)
            return ((1 - flip_rate) * kept_B - flip_rate * flipped_B) / (1 - 2 * flip_rate)
        case Loss.HINGE:
            return relu(1 - margin_B)
        case Loss.APO_ZERO:
            return 1 - torch.sigmoid(beta * c_B) + torch.sigmoid(beta * j_B)
        case Loss.APO_DOWN:
            return torch.sigmoid(beta * c_B) + 1 - torch.sigmoid(margin_B)
