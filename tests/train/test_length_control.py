"""The length-controlled win rate against statsmodels, and what it must say of made-up policies."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.intervals import Z
from train.length_control import length_controlled


def comparisons(n: int = 400, *, theta: float = 0.0, effect: float = 0.0, seed: int = 0):
    """Points, length differences and prompts (four comparisons each), drawn from the model itself."""
    rng = np.random.default_rng(seed)
    more = rng.normal(60, 80, n).round()
    chance = 1 / (1 + np.exp(-(theta + effect * np.tanh(more / more.std(ddof=1)))))
    points = (rng.random(n) < chance).astype(float)
    points[rng.random(n) < 0.1] = 0.5
    return points, more, [f"p{i // 4}" for i in range(n)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_fit_and_its_clustered_interval_are_those_of_statsmodels(seed):
    points, more, prompts = comparisons(60 * seed, theta=0.4, effect=1.2, seed=seed)
    design = sm.add_constant(np.tanh(more / more.std(ddof=1)))
    groups = np.unique(prompts, return_inverse=True)[1]
    theirs = sm.GLM(points, design, family=sm.families.Binomial()).fit(
        tol=1e-14, maxiter=200, cov_type="cluster", cov_kwds={"groups": groups}
    )
    wanted = [theirs.params[0] + z * theirs.bse[0] for z in (0, -Z, Z)]

    ours = length_controlled(points, more, prompts=prompts)

    logits = [math.log(v / (1 - v)) for v in (ours.value, ours.low, ours.high)]
    assert logits == pytest.approx(wanted, abs=1e-6)
    assert ours.effect == pytest.approx(theirs.params[1], abs=1e-6)


def test_a_policy_that_wins_by_length_alone_is_no_better_at_equal_length():
    points, more, prompts = comparisons(4000, theta=0.0, effect=2.0)
    ours = length_controlled(points, more, prompts=prompts)
    assert points.mean() > 0.6
    assert ours.low < 0.5 < ours.high
    assert ours.value == pytest.approx(0.5, abs=0.04)


@settings(max_examples=30)
@given(st.integers(0, 1000), st.floats(-1, 1), st.floats(-2, 2))
def test_the_other_policys_rate_is_the_mirror_image(seed, theta, effect):
    points, more, prompts = comparisons(60, theta=theta, effect=effect, seed=seed)
    ours = length_controlled(points, more, prompts=prompts)
    theirs = length_controlled(1 - points, -more, prompts=prompts)
    assert (theirs.value, theirs.low, theirs.high, theirs.effect) == pytest.approx(
        (1 - ours.value, 1 - ours.high, 1 - ours.low, ours.effect), abs=1e-9, nan_ok=True
    )


@pytest.mark.parametrize(
    ("points", "more", "why"),
    [
        ([1, 0] * 4, range(8), "fewer than 10"),
        ([1, 0] * 10, [7] * 20, "difference in length is the same"),
        ([1] * 20, range(20), "all came out alike"),
        ([0] * 10 + [1] * 10, range(20), "length alone tells"),
    ],
    ids=["few", "same-difference", "all-won", "separated"],
)
def test_where_no_rate_can_be_had_it_says_why(points, more, why):
    ours = length_controlled(points, list(more), prompts=[f"p{i}" for i in range(len(points))])
    assert math.isnan(ours.value)
    assert math.isnan(ours.low)
    assert why in ours.missing


def test_ties_alone_are_even_but_not_certain():
    ours = length_controlled([0.5] * 20, range(20), prompts=[f"p{i}" for i in range(20)])
    assert ours.value == pytest.approx(0.5)
    assert ours.low < 0.35
    assert ours.high > 0.65
