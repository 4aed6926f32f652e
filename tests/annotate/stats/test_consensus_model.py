"""What votes are worth, and the test against the crowd."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta
from statistics_data import rows_of_votes, swapped, votes_of_rows

from annotate.stats.consensus_model import (
    crowd_test,
    crowd_tests,
    flip_rate,
    halves,
    prior_votes,
    probability_first,
    share_error,
    share_first,
)
from annotate.stats.estimate import Estimate
from annotate.stats.votes import votes_of

agreements = st.floats(0.501, 0.999)
tallies = st.integers(0, 20)


def arrays(*numbers):
    return (np.array([float(n)]) for n in numbers)


def test_the_prior_is_that_under_which_two_votes_agree_as_often():
    for p in (0.55, 0.63, 0.73, 0.9):
        b = prior_votes(p)
        found, _ = quad(lambda x, b=b: (x**2 + (1 - x) ** 2) * beta.pdf(x, b, b), 0, 1)
        assert found == pytest.approx(p, abs=1e-6)


@given(agreements, tallies, tallies)
def test_the_posterior_is_betas_and_mirrored(p, first, second):
    f, s = arrays(first, second)
    b = prior_votes(p)
    expected = beta(first + b, second + b)
    assert share_first(f, s, agreement=p)[0] == pytest.approx(expected.mean(), abs=1e-9)
    assert share_error(f, s, agreement=p)[0] == pytest.approx(expected.std(), abs=1e-9)
    for reading in (share_first, probability_first):
        there, back = reading(f, s, agreement=p), reading(s, f, agreement=p)
        assert there + back == pytest.approx(1)


def test_the_one_coin_posterior_is_bayes_rule():
    a = (1 + np.sqrt(2 * 0.73 - 1)) / 2
    found = probability_first(*arrays(2, 1), agreement=0.73)[0]
    assert found == pytest.approx(a**2 * (1 - a) / (a**2 * (1 - a) + a * (1 - a) ** 2))


@given(agreements)
def test_three_of_three_say_more_than_two_of_two(p):
    for reading in (share_first, probability_first):
        none, two, three = (reading(*arrays(n, 0), agreement=p)[0] for n in (0, 2, 3))
        assert none == 0.5
        assert 0.5 < two < three or two == pytest.approx(1)


def test_without_more_agreement_than_chance_votes_say_nothing():
    for reading in (share_first, probability_first):
        assert reading(*arrays(3, 0), agreement=0.5)[0] == pytest.approx(0.5, abs=1e-4)


def test_a_tie_is_half_a_vote_for_either_and_both_bad_none():
    first, second = halves(np.array([[2.0, 1.0, 1.0, 5.0]]))
    assert (first[0], second[0]) == (2.5, 1.5)


def test_the_flip_rate_of_a_project():
    found = flip_rate(Estimate(value=0.73, low=0.65, high=0.81, n=300))
    assert (found.value, found.low, found.high, found.n) == pytest.approx(
        (0.161, 0.106, 0.226, 300), abs=5e-4
    )
    assert flip_rate(Estimate.none(4)) == Estimate.none(4)
    chance = flip_rate(Estimate(value=0.48, low=0.4, high=0.56, n=20))
    assert (chance.value, chance.high) == (0.5, 0.5)


def test_people_who_vote_as_the_crowd_does_are_seldom_suspected():
    """At most alpha of them ever, however long they vote; chances are those of the project's prior."""
    rng = np.random.default_rng(0)
    chance = rng.beta(0.6, 0.6, (600, 400)).clip(1e-6, 1 - 1e-6)
    voted = rng.random(chance.shape) < chance
    alarms = [crowd_test(v, c, alpha=0.05).alarm_at for v, c in zip(voted, chance, strict=True)]
    assert sum(a is not None for a in alarms) <= 0.05 * 600 + 12


@pytest.mark.parametrize("sense", ["random", "opposite"])
def test_people_who_do_not_are_found_in_a_few_dozen_votes(sense):
    rng = np.random.default_rng(1)
    chance = rng.beta(0.6, 0.6, (100, 200)).clip(0.05, 0.95)
    voted = rng.random(chance.shape) < (0.5 if sense == "random" else 1 - chance)
    alarms = [crowd_test(v, c).alarm_at for v, c in zip(voted, chance, strict=True)]
    assert None not in alarms
    assert np.median(alarms) < 60


def test_the_evidence_is_a_mean_of_products_of_likelihood_ratios():
    found = crowd_test([True, False], [0.8, 0.7])
    products = []
    for shade in (-1, -0.5, 0, 0.5):
        one, other = 0.5 + shade * 0.3, 0.5 + shade * (0.3 - 0.5)
        products.append(one / 0.8 * other / 0.3)
    assert found.evidence == pytest.approx(np.mean(products))
    assert crowd_test([], []).evidence == 1


@given(rows_of_votes)
def test_the_crowds_tests_are_mirrored_and_leave_ones_own_vote_out(rows):
    votes = votes_of_rows(rows)
    found, mirrored = (crowd_tests(v, agreement=0.7) for v in (votes, swapped(votes)))
    assert found.keys() == mirrored.keys()
    for labeler, test in found.items():
        assert test.log_evidence_N == pytest.approx(mirrored[labeler].log_evidence_N)
    for pair in range(10):
        own = np.flatnonzero((votes.pair_N == pair) & (votes.verdict_N != 3))
        if len(own) == 1 and (votes.labeler_N == votes.labeler_N[own[0]]).sum() == 1:
            assert votes.labeler_N[own[0]] not in found


def test_the_order_of_votes_is_that_of_time():
    pair, labeler = np.repeat(range(30), 3), [0, 1, 2] * 30
    verdict = [0, 0, 0] * 15 + [0, 0, 1] * 15
    votes = votes_of(pair, labeler, verdict)
    late = crowd_tests(votes, agreement=0.7)[2]
    early = crowd_tests(votes, agreement=0.7, order_N=-votes.pair_N)[2]
    assert early.alarm_at is not None
    assert late.alarm_at is None or early.alarm_at < late.alarm_at
    assert early.log_evidence_N[-1] == pytest.approx(late.log_evidence_N[-1])
