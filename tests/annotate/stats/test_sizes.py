"""Sample sizes against the published tables and exact binomial power."""

from itertools import product

import pytest
from scipy.stats import binom

from annotate.stats.sizes import (
    comparisons_for_win,
    expected_votes,
    half_width,
    implied_accuracy,
    majority_accuracy,
    saving,
    votes_for_agreement,
)


@pytest.mark.parametrize(
    ("p", "two", "two_saving", "three", "three_saving"),
    [
        (0.63, 2.37, 0.21, 3.76, 0.25),
        (0.65, 2.35, 0.22, 3.71, 0.26),
        (0.70, 2.30, 0.23, 3.59, 0.28),
        (0.73, 2.27, 0.24, 3.51, 0.30),
        (0.81, 2.19, 0.27, 3.34, 0.33),
    ],
)
def test_votes_until_a_majority(p, two, two_saving, three, three_saving):
    assert expected_votes(p, majority=2) == pytest.approx(two, abs=5e-3)
    assert saving(p, majority=2) == pytest.approx(two_saving, abs=5e-3)
    assert expected_votes(p, majority=3) == pytest.approx(three, abs=5e-3)
    assert saving(p, majority=3) == pytest.approx(three_saving, abs=5e-3)


@pytest.mark.parametrize(
    ("p", "accuracy", "three", "five"),
    [
        (0.63, 0.755, 0.849, 0.902),
        (0.65, 0.774, 0.870, 0.920),
        (0.70, 0.816, 0.911, 0.954),
        (0.73, 0.839, 0.931, 0.968),
        (0.77, 0.867, 0.952, 0.981),
        (0.81, 0.894, 0.969, 0.990),
    ],
)
def test_what_agreement_says_about_one_vote_and_about_majorities(p, accuracy, three, five):
    a = implied_accuracy(p)
    assert a == pytest.approx(accuracy, abs=5e-4)
    assert majority_accuracy(a, 3) == pytest.approx(three, abs=6e-4)
    assert majority_accuracy(a, 5) == pytest.approx(five, abs=6e-4)
    assert a**2 + (1 - a) ** 2 == pytest.approx(p)


def test_stopping_spends_what_walking_through_every_order_of_votes_spends():
    a = implied_accuracy(0.7)
    for majority in (2, 3):
        spent = 0.0
        for votes in product([0, 1], repeat=2 * majority - 1):
            chance = 1.0
            for vote in votes:
                chance *= a if vote else 1 - a
            needed = next(
                n
                for n in range(1, len(votes) + 1)
                if max(sum(votes[:n]), n - sum(votes[:n])) == majority
            )
            spent += chance * needed
        assert expected_votes(0.7, majority=majority) == pytest.approx(spent)


def test_sizes_to_print():
    assert votes_for_agreement(0.65) == 350
    assert votes_for_agreement(0.65, within=0.03) == 972
    assert half_width(400) == pytest.approx(0.049, abs=5e-4)
    assert comparisons_for_win(0.55) == 783
    assert comparisons_for_win(0.60) == 194
    assert comparisons_for_win(0.45) == comparisons_for_win(0.55)
    with pytest.raises(ValueError, match="not one half"):
        comparisons_for_win(0.5)


@pytest.mark.parametrize("rate", [0.55, 0.6, 0.7])
def test_the_size_has_the_power_it_promises(rate):
    n = comparisons_for_win(rate)
    reject = [k for k in range(n + 1) if abs(k / n - 0.5) > half_width(n)]
    assert binom.pmf(reject, n, rate).sum() == pytest.approx(0.8, abs=0.02)


def test_no_more_agreement_than_chance_is_a_coin():
    assert implied_accuracy(0.5) == implied_accuracy(0.3) == 0.5
    assert implied_accuracy(1.0) == 1.0
