"""Labelers against each other, the rest and themselves."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from statistics_data import (
    REAL,
    random_votes,
    real_votes,
    reference,
    rows_of_votes,
    swapped,
    votes_of_rows,
)
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from annotate.stats.estimate import Estimate
from annotate.stats.labelers import (
    against_rest,
    cohen_estimate,
    cohen_kappa,
    consistency_of,
    labeler_matrix,
    meetings_of,
    share_of,
)
from annotate.stats.votes import FIRST, SECOND, TIE, votes_of
from storage.intervals import wilson


def test_cohens_kappa_of_published_tables():
    """SAS's printed example, and R's anxiety ratings, raters 2 and 3 (irr)."""
    table = np.array(reference("cohen")["sas_3x3"]["table"], dtype=float)
    assert cohen_kappa(table) == pytest.approx(0.4842, abs=5e-5)
    ratings = np.array(reference("ratings_anxiety_20x3")["ratings"])
    table = np.zeros((6, 6))
    np.add.at(table, (ratings[:, 1] - 1, ratings[:, 2] - 1), 1)
    assert cohen_kappa(table) == pytest.approx(-0.006289308, abs=1e-9)
    assert cohen_estimate(table).value == pytest.approx(-0.006289308, abs=1e-9)


@pytest.mark.parametrize("name", REAL)
def test_every_two_labelers_of_real_votes_have_statsmodels_kappa(name):
    met = meetings_of(real_votes(name))
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = [cohens_kappa(t[:3, :3], return_results=False) for t in met.table_M_V_V]
    found = cohen_kappa(met.table_M_V_V)
    ok = np.isfinite(found)
    assert ok.sum() > 100
    assert found[ok] == pytest.approx(np.array(expected)[ok], abs=1e-9)


@given(rows_of_votes)
def test_meetings_are_all_two_labelers_of_a_pair(rows):
    votes = votes_of_rows(rows)
    met = meetings_of(votes)
    expected = {}
    for pair in range(10):
        own = np.flatnonzero(votes.pair_N == pair)
        for i, j in combinations(own, 2):
            key = (votes.labeler_N[i], votes.labeler_N[j])
            table = expected.setdefault(key, np.zeros((4, 4)))
            table[votes.verdict_N[i], votes.verdict_N[j]] += 1
    assert list(zip(met.one_M, met.other_M, strict=True)) == sorted(expected)
    for key, table in zip(sorted(expected), met.table_M_V_V, strict=True):
        assert (table == expected[key]).all()


@given(rows_of_votes)
def test_the_matrix_is_symmetric_and_the_same_in_the_other_order(rows):
    votes = votes_of_rows(rows)
    one, other = labeler_matrix(votes, least=1), labeler_matrix(swapped(votes), least=1)
    for matrix in (one.shared_L_L, one.agreement_L_L, one.kappa_L_L):
        np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(one.agreement_L_L, other.agreement_L_L)
    np.testing.assert_allclose(one.kappa_L_L, other.kappa_L_L, atol=1e-12)
    assert np.isnan(np.diagonal(one.kappa_L_L)).all()


def test_two_labelers_with_few_pairs_in_common_have_no_number():
    votes = votes_of(np.repeat(range(12), 2), [0, 1] * 9 + [0, 2] * 3, [0, 0] * 12)
    matrix = labeler_matrix(votes, least=9)
    assert matrix.shared_L_L[0].tolist() == [0, 9, 3]
    assert matrix.agreement_L_L[0, 1] == 1
    assert np.isnan(matrix.agreement_L_L[0, 2])
    assert np.isnan(matrix.kappa_L_L[0, 1])  # both said the same one thing throughout


def test_of_many_labelers_those_with_the_most_votes_are_shown():
    votes = random_votes(2, pairs=100)
    whole, part = labeler_matrix(votes), labeler_matrix(votes, most=3)
    counts = np.bincount(votes.labeler_N)
    assert whole.labeler_L.tolist() == list(range(7))
    assert part.labeler_L.tolist() == sorted(np.argsort(-counts, kind="stable")[:3])
    rows = np.ix_(part.labeler_L, part.labeler_L)
    np.testing.assert_array_equal(part.shared_L_L, whole.shared_L_L[rows])
    np.testing.assert_array_equal(part.kappa_L_L, whole.kappa_L_L[rows])


def test_each_labeler_against_the_rest():
    votes = random_votes(5, pairs=200)
    rows = list(zip(votes.pair_N, votes.labeler_N, votes.verdict_N, strict=True))
    for found in against_rest(votes):
        meetings = [
            (v, w)
            for p, who, v in rows
            if who == found.labeler
            for q, other, w in rows
            if q == p and other != who
        ]
        same = [v == w for v, w in meetings]
        assert found.vote_pairs == len(same)
        assert found.agreement.value == pytest.approx(np.mean(same))
        assert found.agreement.low < found.agreement.value < found.agreement.high
        table = np.zeros((4, 4))
        np.add.at(table, tuple(np.array(meetings).T), 1)
        assert found.kappa == pytest.approx(cohen_kappa(table), abs=1e-12)


def test_one_labeler_alone_has_nobody_to_agree_with():
    (found,) = against_rest(votes_of(range(20), [0] * 20, [0, 1] * 10))
    assert (found.votes, found.vote_pairs, found.kappa) == (20, 0, None)
    assert found.agreement == Estimate.none(0)
    assert against_rest(votes_of([], [], [])) == []


def test_unanimous_and_opposed_labelers():
    pair, labeler = np.repeat(range(20), 2), [0, 1] * 20
    agreed = against_rest(votes_of(pair, labeler, np.repeat([FIRST, SECOND] * 10, 2)))
    assert [(a.agreement.value, a.kappa) for a in agreed] == [(1, 1), (1, 1)]
    opposed = against_rest(votes_of(pair, labeler, [FIRST, SECOND, SECOND, FIRST] * 10))
    assert [(a.agreement.value, a.kappa) for a in opposed] == [(0, -1), (0, -1)]
    alike = against_rest(votes_of(pair, labeler, [TIE] * 40))
    assert [(a.agreement.value, a.kappa) for a in alike] == [(1, None), (1, None)]


def test_consistency_counts_repeats_and_those_that_changed_sides():
    before = [FIRST] * 12 + [SECOND]
    now = [FIRST] * 9 + [SECOND, SECOND, TIE, SECOND]
    first, few = consistency_of([0] * 12 + [3], before, now)
    assert (first.labeler, first.same.value, first.same.n, first.turned) == (0, 0.75, 12, 2)
    assert (few.labeler, few.same, few.turned) == (3, Estimate.none(1), 0)
    assert consistency_of([], [], []) == []


@pytest.mark.parametrize(
    ("some", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)],
)
def test_shares_have_wilsons_interval(some, n, low, high):
    """Newcombe 1998, Statistics in Medicine 17, table I, method 3."""
    found = share_of(some, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    assert wilson(some, n) == pytest.approx(proportion_confint(some, n, method="wilson"), abs=1e-9)
    assert (wilson(0, 0), share_of(0, 0, least=0)) == ((0.0, 1.0), Estimate.none(0))
