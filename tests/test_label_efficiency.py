"""The replay of votes spends what the program would ask for, and finds what the votes say."""

import numpy as np
import pytest

from annotate.config import Distribution
from benchmarks.label_efficiency import Point, asked, at_random, cost_at, guessed_right, synthetic


def test_two_then_three_gives_the_majority_of_three_for_fewer_votes():
    for replay in synthetic(300):
        orders, truth = replay.shuffled(np.random.default_rng(0))
        three = asked(orders, Distribution(votes_per_pair=3, tie_breaker=False))
        two = asked(orders, Distribution(votes_per_pair=2))
        assert (three[1] == two[1]).all()
        differ = np.array([v[0] != v[1] for v in orders])
        assert two[0].tolist() == (2 + differ).tolist()
        right = guessed_right(orders, *three, truth)
        assert right == pytest.approx((three[1] == truth).mean())
        assert right > 0.85


def test_random_spends_its_budget_and_even_votes_are_a_guess():
    orders = [np.array([0, 1]), np.array([1, 1])]
    spent, found = at_random(orders, 2, np.random.default_rng(0))
    assert (spent.tolist(), found.tolist()) == ([2, 2], [-1, 1])
    assert guessed_right(orders, spent, found, np.array([0, 1])) == 0.75
    assert at_random(orders, 0.5, np.random.default_rng(0))[0].sum() == 1


def test_equal_accuracy_is_bought_by_mixing_numbers_of_votes():
    points = [
        Point(f"fixed {n}", n, right, 1, right) for n, right in ((1, 0.8), (3, 0.9), (5, 0.95))
    ]
    assert cost_at(points, "fixed", 0.85) == pytest.approx(2)
    assert cost_at(points, "fixed", 0.96) is None
