"""Agreement of parts of the votes, and the tests of which parts differ."""

import numpy as np
import pytest
from statistics_data import random_votes
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.multitest import multipletests

from annotate.stats.coefficients import agreement_of
from annotate.stats.slicing import agreement_by_part, holm, units_of_pairs, units_of_votes
from annotate.stats.votes import votes_of


def test_a_part_that_holds_everything_has_the_overall_figures_and_intervals():
    votes = random_votes(1, pairs=80)
    whole = agreement_of(votes)
    pairs = np.arange(votes.pairs)
    (by_pair,) = agreement_by_part(units_of_pairs(votes, pairs, np.zeros(votes.pairs), 1))
    (by_vote,) = agreement_by_part(units_of_votes(votes, np.zeros(len(votes)), 1))
    for part in (by_pair, by_vote):
        assert part.votes == len(votes)
        for name in ("observed_agreement", "observed_agreement_without_ties", "alpha_nominal"):
            assert getattr(part, name) == getattr(whole, name), name
        assert (part.difference, part.p_value) == (None, None), "there is no rest to differ from"


def test_each_part_is_what_its_own_votes_alone_give():
    """Pairs in several parts count in each; pairs in none only against them."""
    votes = random_votes(2, pairs=120)
    rng = np.random.default_rng(0)
    unit, part = np.nonzero(rng.random((votes.pairs, 3)) < 0.4)
    found = agreement_by_part(units_of_pairs(votes, unit, part, 3))
    for code, one in enumerate(found):
        own = np.isin(votes.pair_N, unit[part == code])
        alone, rest = agreement_of(votes.only(own)), agreement_of(votes.only(~own))
        assert one.observed_agreement == alone.observed_agreement
        assert one.alpha_nominal == alone.alpha_nominal
        apart = alone.observed_agreement.value - rest.observed_agreement.value
        assert one.difference == pytest.approx(apart, abs=1e-12)


def test_votes_of_different_parts_are_not_compared():
    """By time of day a pair's votes may fall apart: only those of the same part meet."""
    votes = random_votes(3, pairs=100)
    part = np.random.default_rng(1).integers(0, 2, len(votes))
    for code, one in enumerate(agreement_by_part(units_of_votes(votes, part, 2))):
        alone = agreement_of(votes.only(part == code))
        assert one.observed_agreement == alone.observed_agreement
        assert one.votes == int((part == code).sum())


def test_the_p_value_is_that_of_cochran_mantel_and_haenszel():
    """With two and with three votes a pair, where three either all agree or hold one other vote."""
    rng = np.random.default_rng(4)
    pairs = 150
    size = np.where(np.arange(pairs) < 90, 2, 3)
    part = rng.integers(0, 2, pairs)
    agrees = rng.random(pairs) < np.where(part == 1, 0.75, 0.55)
    rows = [
        (p, who, 1 if who == 0 and not agrees[p] else 0)
        for p in range(pairs)
        for who in range(size[p])
    ]
    votes = votes_of(*np.array(rows).T)
    tables = [
        [
            [
                int((agrees & (part == s) & (size == n)).sum()),
                int((~agrees & (part == s) & (size == n)).sum()),
            ]
            for s in (0, 1)
        ]
        for n in (2, 3)
    ]
    # One stratum alone: the weight of a disagreement is the same for all its pairs.
    for n, table in zip((2, 3), tables, strict=True):
        own = votes.only(size[votes.pair_N] == n)
        known = StratifiedTable([np.array(table)]).test_null_odds(correction=False)
        chosen = np.flatnonzero(size == n)
        found = agreement_by_part(units_of_pairs(own, chosen, part[chosen], 2))
        assert [one.p_value for one in found] == pytest.approx([known.pvalue] * 2, rel=1e-9)


def test_a_difference_shows_and_chance_is_not_taken_for_one():
    """Of 200 splits by lot about one in twenty has p below .05; a real difference has hardly any."""
    votes = random_votes(5, pairs=300, votes=3)
    rng = np.random.default_rng(6)
    pairs = np.arange(votes.pairs)
    values = [
        agreement_by_part(
            units_of_pairs(votes, pairs, rng.integers(0, 2, votes.pairs), 2), resamples=10
        )[0].p_value
        for _ in range(200)
    ]
    assert 2 <= sum(p < 0.05 for p in values) <= 20
    good = votes_of(*np.array([(p, w, 0) for p in range(40) for w in (0, 1)]).T)
    bad = np.array([(p + 40, w, (p + w) % 2) for p in range(40) for w in (0, 1)])
    both = votes_of(
        np.append(good.pair_N, bad[:, 0]),
        np.append(good.labeler_N, bad[:, 1]),
        np.append(good.verdict_N, bad[:, 2]),
    )
    one, other = agreement_by_part(units_of_pairs(both, np.arange(80), np.arange(80) // 40, 2))
    assert one.difference == -other.difference == 1.0
    assert one.p_value < 1e-12


def test_too_few_pairs_give_no_number_and_no_test():
    votes = random_votes(7, pairs=40)
    part = (np.arange(votes.pairs) < 5).astype(int)
    big, small = agreement_by_part(units_of_pairs(votes, np.arange(votes.pairs), part, 2))
    assert small.observed_agreement.value is small.alpha_nominal.value is None
    assert small.p_value is big.p_value is None
    assert big.observed_agreement.value is not None
    assert (
        agreement_by_part(units_of_votes(votes.only(np.zeros(len(votes), bool)), np.empty(0), 0))
        == []
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_adjusted_p_values_are_holms(seed):
    p = np.random.default_rng(seed).random(30) ** 3
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)
    assert len(holm([])) == 0
