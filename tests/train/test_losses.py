"""The losses against their formulas, their known start and the symmetry of soft labels."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from train.config import Loss
from train.losses import loss_at_start, pair_losses

ratios = st.floats(-20, 20)
betas = st.sampled_from([0.01, 0.1, 0.5, 5.0])


def loss_of(loss, c, j, *, beta, p=1.0, flip_rate=0.0) -> float:
    numbers = [torch.tensor([x], dtype=torch.float64) for x in (c, j, p)]
    found = pair_losses(
        loss, numbers[0], numbers[1], beta=beta, probability_B=numbers[2], flip_rate=flip_rate
    )
    return float(found[0])


@pytest.mark.parametrize("loss", list(Loss))
@pytest.mark.parametrize("p", [1.0, 0.7, 0.5])
def test_each_starts_at_its_known_value_whatever_the_labels(loss, p):
    found = loss_of(loss, 0.0, 0.0, beta=0.1, p=p, flip_rate=0.2)

    assert found == pytest.approx(loss_at_start(loss, beta=0.1), abs=1e-12)


def test_the_known_values_are_those_trl_gives_at_beta_a_tenth():
    expected = {"sigmoid": 0.6931, "sigmoid_norm": 0.6931, "robust": 0.6931, "hinge": 1.0}
    expected |= {"ipo": 25.0, "apo_zero": 1.0, "apo_down": 1.0}

    assert {x.value: round(loss_at_start(x, beta=0.1), 4) for x in Loss} == expected


@given(c=ratios, j=ratios, beta=betas)
def test_the_sigmoid_loss_is_minus_log_of_the_bradley_terry_probability(c, j, beta):
    expected = math.log1p(math.exp(-beta * (c - j)))

    assert loss_of(Loss.SIGMOID, c, j, beta=beta) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(c=ratios, j=ratios, beta=betas, p=st.floats(0, 1), loss=st.sampled_from(list(Loss)))
def test_a_soft_label_is_the_mixture_and_swapping_the_answers_swaps_it(c, j, beta, p, loss):
    there = loss_of(loss, c, j, beta=beta, p=p)
    back = loss_of(loss, j, c, beta=beta, p=1 - p)

    assert there == pytest.approx(back, rel=1e-9, abs=1e-9)


@given(c=ratios, j=ratios, beta=betas)
def test_the_robust_loss_is_unbiased_under_its_flip_rate(c, j, beta):
    """Expected over flipped labels it is the clean loss (Chowdhury et al. 2024, lemma 3.1)."""
    rate = 0.3
    kept = loss_of(Loss.ROBUST, c, j, beta=beta, flip_rate=rate)
    flipped = loss_of(Loss.ROBUST, j, c, beta=beta, flip_rate=rate)

    clean = loss_of(Loss.SIGMOID, c, j, beta=beta)
    assert (1 - rate) * kept + rate * flipped == pytest.approx(clean, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("loss", [Loss.SIGMOID, Loss.HINGE, Loss.ROBUST, Loss.SIGMOID_NORM])
def test_at_one_half_a_pair_pulls_neither_way(loss):
    c = torch.tensor([0.0], requires_grad=True)
    found = pair_losses(
        loss,
        c,
        torch.tensor([0.0]),
        beta=0.1,
        probability_B=torch.tensor([0.5]),
        flip_rate=0.1,
    )
    (slope,) = torch.autograd.grad(found.sum(), c)

    assert abs(float(slope)) < 1e-7
