"""The difficulty-aware model against a general optimizer, known truths and degenerate votes."""

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.optimize import minimize
from scipy.special import expit, roots_hermitenorm
from statistics_data import real_votes, rows_of_votes, swapped, votes_of_rows

from annotate.stats.ability import fit_abilities
from annotate.stats.dawid_skene import one_coin
from annotate.stats.votes import FIRST, SECOND, TIE, votes_of

TRUE = np.array([0.0, 1.0, 2.0, 3.0, 4.0, -1.0])


def made(seed, *, pairs=800, per_pair=4):
    rng = np.random.default_rng(seed)
    strength = rng.normal(size=pairs)
    pair = np.repeat(np.arange(pairs), per_pair)
    labeler = np.concatenate([rng.permutation(len(TRUE))[:per_pair] for _ in range(pairs)])
    first = rng.random(len(pair)) < expit(TRUE[labeler] * strength[pair])
    return strength, votes_of(pair, labeler, np.where(first, FIRST, SECOND))


def negative_log_likelihood(ability, votes):
    """Spelled out pair by pair on scipy's own nodes."""
    node, weight = roots_hermitenorm(16)
    total = 0.0
    for pair in range(votes.pairs):
        own = votes.pair_N == pair
        sign = np.where(votes.verdict_N[own] == FIRST, 1, -1)
        chance = expit(np.outer(node, sign * ability[votes.labeler_N[own]]))
        total += np.log(chance.prod(axis=1) @ weight / weight.sum())
    return -total + ((ability - 2) ** 2).sum() / 8


def test_it_is_the_maximum_and_its_errors_those_of_the_curvature():
    _, votes = made(3, pairs=60)
    fit = fit_abilities(votes, tolerance=1e-10, iterations=5000)
    best = minimize(negative_log_likelihood, fit.ability_L, args=(votes,), options={"gtol": 1e-7})
    assert fit.log_likelihood[-1] == pytest.approx(-best.fun, abs=1e-8)
    assert fit.ability_L == pytest.approx(best.x, abs=1e-5)
    h, size = 1e-3, len(TRUE)
    curve = np.empty((size, size))
    for i, j in np.ndindex(size, size):
        a, b = np.eye(size)[i] * h, np.eye(size)[j] * h
        f = [
            negative_log_likelihood(best.x + s * a + t * b, votes) for s in (1, -1) for t in (1, -1)
        ]
        curve[i, j] = (f[0] - f[1] - f[2] + f[3]) / (4 * h * h)
    assert fit.error_L == pytest.approx(np.sqrt(np.diag(np.linalg.inv(curve))), rel=1e-3)
    assert (np.diff(fit.log_likelihood) >= -1e-9).all()


def test_known_abilities_are_found_within_their_standard_errors():
    z = []
    for seed in range(12):
        strength, votes = made(seed)
        fit = fit_abilities(votes)
        z.append((fit.ability_L - TRUE) / fit.error_L)
        assert np.corrcoef(strength, fit.strength_P)[0, 1] > 0.6
    assert 0.6 < np.std(z) < 1.4
    assert abs(np.mean(z)) < 0.5


def test_better_people_on_real_votes_are_those_of_the_simple_model_too():
    votes = real_votes("llmfao_votes")
    fit = fit_abilities(votes)
    sided = votes.verdict_N <= SECOND
    simple = one_coin(
        votes.pair_N[sided], votes.labeler_N[sided], votes.verdict_N[sided], classes=2, labelers=124
    )
    many = fit.votes_L >= 50
    assert np.corrcoef(fit.accuracy_L[many], simple.accuracy_L[many])[0, 1] > 0.8
    assert fit.left_out == (votes.verdict_N == TIE).sum()


@given(rows_of_votes)
@settings(max_examples=30, deadline=None)
def test_the_other_order_mirrors(rows):
    votes = votes_of_rows(rows)
    there, back = fit_abilities(votes), fit_abilities(swapped(votes))
    assert back.ability_L == pytest.approx(there.ability_L, abs=1e-6, nan_ok=True)
    assert back.error_L == pytest.approx(there.error_L, abs=1e-6, nan_ok=True)
    assert back.strength_P == pytest.approx(-there.strength_P, abs=1e-6)
    assert back.probability_first_P == pytest.approx(1 - there.probability_first_P, abs=1e-6)


def test_unanimous_opposed_alone_and_none():
    pair, labeler = np.repeat(range(40), 2), [0, 1] * 40
    unanimous = fit_abilities(votes_of(pair, labeler, np.repeat([FIRST, SECOND] * 20, 2)))
    assert (unanimous.ability_L > 3).all()
    assert (unanimous.ability_L < 30).all()
    opposed = fit_abilities(votes_of(pair, labeler, [FIRST, SECOND] * 40))
    assert np.isfinite(opposed.ability_L).all()
    assert (opposed.ability_L < 2).all()
    for fit in (unanimous, opposed):
        assert (fit.error_L[np.isfinite(fit.error_L)] > 0.3).all()
    alone = fit_abilities(votes_of(range(40), [0] * 40, [FIRST, SECOND] * 20))
    assert alone.ability_L[0] == pytest.approx(2.0, abs=1e-3)  # nothing is learned: the prior
    assert alone.error_L[0] == pytest.approx(2.0, rel=0.05)
    ties = fit_abilities(votes_of([0, 0], [0, 1], [TIE, TIE]))
    assert np.isnan(ties.ability_L).all()
    assert (ties.strength_P[0], ties.probability_first_P[0]) == pytest.approx((0, 0.5))
    assert ties.strength_error_P[0] == pytest.approx(1)
    assert len(fit_abilities(votes_of([], [], [])).ability_L) == 0
