"""Agreement coefficients against published examples, independent libraries and their algebra."""

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from statistics_data import (
    REAL,
    random_votes,
    real_table,
    real_votes,
    reference,
    rows_of_votes,
    swapped,
    votes_of_rows,
)
from statsmodels.stats import inter_rater

from annotate.stats import coefficients as co
from annotate.stats.estimate import MIN_PAIRS, Estimate, bootstrap, kinds_of
from annotate.stats.votes import FIRST, SECOND, TIE, votes_of
from storage.intervals import wilson

NOMINAL_ONES = (co.observed_agreement, co.alpha_nominal, co.fleiss_kappa, co.gwet_ac1)


def counts_of(raters: list[list[object]]) -> np.ndarray:
    """counts_P_V of rows of raters; None is a rating not given."""
    values = sorted({v for row in raters for v in row if v is not None})
    columns = zip(*raters, strict=True)
    return np.array([[c.count(v) for v in values] for c in columns], dtype=float)


def brute_shares(counts: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean agreement within pairs, and mean shares of verdicts, spelled out vote by vote."""
    within, shares = [], []
    for row in counts:
        votes = [v for v, n in enumerate(row) for _ in range(int(n))]
        pairs = [(a, b) for i, a in enumerate(votes) for j, b in enumerate(votes) if i != j]
        if pairs:
            within.append(np.mean([a == b for a, b in pairs]))
        if votes:
            shares.append([votes.count(v) / len(votes) for v in range(len(row))])
    return float(np.mean(within)), np.mean(shares, axis=0)


def test_krippendorffs_own_examples():
    """Wikipedia's and Krippendorff's (2011, section C: four observers, twelve units)."""
    wiki = reference("krippendorff")["wikipedia_3x15"]
    words = reference("krippendorff")["strings_3x4"]
    four = reference("krippendorff")["krippendorff_2011_4x12"]
    assert co.alpha_nominal(counts_of(wiki["data"])) == pytest.approx(0.691358, abs=5e-7)
    assert co.alpha_nominal(counts_of(words["data"])) == pytest.approx(0.722222, abs=5e-7)
    assert co.alpha_nominal(counts_of(four["data"])) == pytest.approx(0.743, abs=5e-4)
    levels = np.zeros((12, 7))
    levels[:, :5] = counts_of(four["data"])
    assert co.alpha_ordinal(levels) == pytest.approx(four["expected"]["ordinal"], abs=5e-4)


def test_gwets_own_example():
    """The same table in Gwet's software (irrCAC, cac.raw4raters): agreement .818, kappa .761 with
    chance .239, AC1 .775 with chance .190. One of its units has a single rating."""
    counts = counts_of(reference("krippendorff")["krippendorff_2011_4x12"]["data"])
    assert co.gwet_ac1(counts) == pytest.approx(0.775, abs=5e-4)
    assert co.fleiss_kappa(counts) == pytest.approx(0.761, abs=5e-4)


def test_fleiss_published_examples():
    examples = reference("fleiss")
    patients = np.array(examples["fleiss_1971_diagnoses"]["ratings"])
    diagnoses = np.array([np.bincount(row, minlength=6)[1:] for row in patients], dtype=float)
    assert co.fleiss_kappa(diagnoses) == pytest.approx(0.4302445, abs=6e-8)
    wiki = np.array(examples["wikipedia_10x5"]["counts"], dtype=float)
    assert co.fleiss_kappa(wiki) == pytest.approx(0.21, abs=5e-4)
    for name in ("two_by_two", "six_one"):
        counts = np.array(examples[name]["counts"], dtype=float)
        assert co.fleiss_kappa(counts) == pytest.approx(examples[name]["kappa"], abs=5e-7)


@pytest.mark.parametrize("name", REAL)
def test_real_votes_have_the_known_agreement_and_krippendorffs_package_agrees(name):
    votes = real_votes(name)
    counts = votes.counts()
    known = {"llmfao_votes": (0.5322, 0.2906), "mtbench_human_subset_votes": (0.6536, 0.4219)}
    assert co.observed_agreement(counts) == pytest.approx(known[name][0], abs=5e-5)
    assert co.alpha_nominal(counts) == pytest.approx(known[name][1], abs=5e-5)
    assert co.alpha_nominal(counts) == pytest.approx(
        krippendorff.alpha(value_counts=counts[:, :3], level_of_measurement="nominal"), abs=1e-9
    )
    levels = votes.level_counts()
    assert co.alpha_ordinal(levels) == pytest.approx(
        krippendorff.alpha(
            value_counts=levels, value_domain=range(-3, 4), level_of_measurement="ordinal"
        ),
        abs=1e-9,
    )
    observed, share = brute_shares(counts)
    chance = (share**2).sum()
    assert co.fleiss_kappa(counts) == pytest.approx((observed - chance) / (1 - chance), abs=1e-9)
    chance = (share * (1 - share)).sum() / 2
    assert co.gwet_ac1(counts) == pytest.approx((observed - chance) / (1 - chance), abs=1e-9)


@pytest.mark.parametrize(("turn", "tie", "no_tie"), [(1, 0.645, 0.854), (2, 0.672, 0.841)])
def test_mtbench_agreement_with_and_without_ties(turn, tie, no_tie):
    """Counted as MT-bench counts (2306.05685, Table 5; .63/.81 and .67/.82 on all votes): its
    humans are the experts; the paper's authors voted too and are left out."""
    name = "mtbench_human_subset_votes"
    table = real_table(name, ["turn", "annotator_id"])
    expert = np.array([a.startswith("expert") for a in table["annotator_id"]])
    votes = real_votes(name)
    keep = (expert & (np.array(table["turn"]) == turn))[votes.kept_N]
    counts = votes.only(keep).counts()
    assert co.observed_agreement(counts) == pytest.approx(tie, abs=5e-4)
    assert co.observed_agreement(counts[:, :2]) == pytest.approx(no_tie, abs=5e-4)


@pytest.mark.parametrize("seed", range(5))
def test_random_votes_have_the_coefficients_of_other_libraries(seed):
    votes = random_votes(seed, accuracy=0.3 + 0.1 * seed)
    counts, levels = votes.counts(), votes.level_counts()
    table = {"level_of_measurement": "nominal", "value_domain": range(4)}
    assert co.alpha_nominal(counts) == pytest.approx(
        krippendorff.alpha(value_counts=counts, **table), abs=1e-9
    )
    table = {"level_of_measurement": "ordinal", "value_domain": range(-3, 4)}
    assert co.alpha_ordinal(levels) == pytest.approx(
        krippendorff.alpha(value_counts=levels, **table), abs=1e-9
    )
    same = np.random.default_rng(seed).multinomial(5, [0.4, 0.3, 0.2, 0.1], size=30).astype(float)
    assert co.fleiss_kappa(same) == pytest.approx(inter_rater.fleiss_kappa(same), abs=1e-9)
    observed, share = brute_shares(counts)
    chance = (share * (1 - share)).sum() / 3
    assert co.gwet_ac1(counts) == pytest.approx((observed - chance) / (1 - chance), abs=1e-9)


@given(rows_of_votes, st.randoms(use_true_random=False))
def test_order_of_votes_and_names_of_pairs_and_people_change_nothing(rows, chance):
    votes = votes_of_rows(rows)
    once = list(
        zip(votes.pair_N, votes.labeler_N, votes.verdict_N, np.abs(votes.level_N), strict=True)
    )
    chance.shuffle(once)
    pairs, people = list(range(10)), list(range(5))
    chance.shuffle(pairs)
    chance.shuffle(people)
    renamed = votes_of_rows([(pairs[p], people[w], v, d) for p, w, v, d in once])
    for statistic in NOMINAL_ONES:
        same = pytest.approx(statistic(votes.counts()), nan_ok=True, abs=1e-12)
        assert statistic(renamed.counts()) == same
    same = pytest.approx(co.alpha_ordinal(votes.level_counts()), nan_ok=True, abs=1e-12)
    assert co.alpha_ordinal(renamed.level_counts()) == same


@given(rows_of_votes)
def test_an_event_delivered_twice_counts_once(rows):
    assert (votes_of_rows(rows).counts() == votes_of_rows([*rows, *rows]).counts()).all()
    assert votes_of_rows([*rows, *rows]).repeated >= len(rows)


@given(rows_of_votes, st.sets(st.integers(0, 9)))
def test_side_swaps(rows, turned):
    """With every pair the other way round nothing changes; with some, only what chance gives does."""
    votes = votes_of_rows(rows)
    some = swapped(votes, np.array(sorted(turned), dtype=int)).counts()
    for statistic in NOMINAL_ONES:
        same = pytest.approx(statistic(votes.counts()), nan_ok=True, abs=1e-12)
        assert statistic(swapped(votes).counts()) == same
    same = pytest.approx(co.alpha_ordinal(votes.level_counts()), nan_ok=True, abs=1e-12)
    assert co.alpha_ordinal(swapped(votes).level_counts()) == same
    observed = co.observed_agreement(votes.counts())
    assert co.observed_agreement(some) == pytest.approx(observed, nan_ok=True)


@given(rows_of_votes)
def test_no_coefficient_is_above_one_or_made_up(rows):
    counts = votes_of_rows(rows).counts()
    assume((counts.sum(axis=1) >= 2).any())
    for statistic in NOMINAL_ONES:
        value = statistic(counts)
        if (counts.sum(axis=0) > 0).sum() == 1 and statistic is not co.observed_agreement:
            assert np.isnan(value)
        else:
            assert np.isnan(value) or value <= 1 + 1e-12


@pytest.mark.parametrize(
    ("name", "votes"),
    [
        ("one labeler", votes_of(range(20), [0] * 20, [0, 1] * 10)),
        ("no votes", votes_of([], [], [])),
        ("one vote", votes_of([0], [0], [FIRST])),
    ],
)
def test_where_nothing_can_be_compared_there_is_no_number(name, votes):
    for statistic in NOMINAL_ONES:
        assert np.isnan(statistic(votes.counts())), name
    found = co.agreement_of(votes)
    for key in ("observed_agreement", "alpha_nominal", "alpha_ordinal", "gwet_ac1"):
        assert getattr(found, key) == Estimate.none(0)


@pytest.mark.parametrize("verdict", [FIRST, TIE])
def test_all_votes_alike_agree_wholly_and_leave_chance_corrected_ones_undefined(verdict):
    counts = votes_of(np.repeat(range(20), 2), [0, 1] * 20, [verdict] * 40).counts()
    assert co.observed_agreement(counts) == 1
    for statistic in (co.alpha_nominal, co.fleiss_kappa, co.gwet_ac1):
        assert np.isnan(statistic(counts))


def test_unanimous_pairs_give_one_and_always_opposed_ones_less_than_chance():
    pair, labeler = np.repeat(range(20), 2), [0, 1] * 20
    unanimous = votes_of(pair, labeler, np.repeat([FIRST, SECOND] * 10, 2))
    opposed = votes_of(pair, labeler, [FIRST, SECOND] * 20)
    for statistic in NOMINAL_ONES:
        assert statistic(unanimous.counts()) == pytest.approx(1)
        assert statistic(opposed.counts()) <= 0
    assert co.alpha_ordinal(unanimous.level_counts()) == pytest.approx(1)
    assert co.alpha_ordinal(opposed.level_counts()) < 0
    one_pair = votes_of([0, 0], [0, 1], [FIRST, SECOND])
    assert co.observed_agreement(one_pair.counts()) == 0
    assert co.agreement_of(one_pair).observed_agreement == Estimate.none(1)


def test_missing_strength_is_clear_and_both_bad_is_left_out_of_the_scale():
    votes = votes_of([0, 0, 0, 0, 1], range(5), [0, 1, 2, 3, 1], degree_N=[3, 0, 3, 3, 1])
    assert votes.level_N.tolist() == [3, -2, 0, 0, -1]
    assert votes.level_counts().tolist() == [[0, 1, 0, 1, 0, 0, 1], [0, 0, 1, 0, 0, 0, 0]]
    assert co.agreement_of(votes).both_bad == 1


def test_the_interval_is_that_of_resampling_pair_by_pair():
    """Drawing kinds is drawing pairs: the plain bootstrap gives the same interval but for chance."""
    votes = random_votes(3, pairs=300)
    found = co.agreement_of(votes, seed=1, resamples=4000)
    counts = votes.counts()
    rng = np.random.default_rng(2)
    two = counts[counts.sum(axis=1) >= 2]
    plain = [co.alpha_nominal(two[rng.integers(0, len(two), len(two))]) for _ in range(2000)]
    low, high = np.quantile(plain, [0.025, 0.975])
    assert found.alpha_nominal.low == pytest.approx(low, abs=0.01)
    assert found.alpha_nominal.high == pytest.approx(high, abs=0.01)
    assert found == co.agreement_of(votes, seed=1, resamples=4000)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    truth = 0.8**2 + 0.2**2
    hits = 0
    for seed in range(200):
        first = rng.binomial(3, np.where(rng.random(150) < 0.5, 0.8, 0.2))
        found = co.estimate(co.OBSERVED, np.column_stack([first, 3 - first]), seed=seed)
        hits += found.low <= truth <= found.high
    assert 180 <= hits <= 199


def test_too_few_pairs_give_no_number():
    counts = np.array([[1, 1], [2, 0], [0, 2]] * 3 + [[1, 0]] * 50, dtype=float)
    assert co.estimate(co.NOMINAL, counts) == Estimate.none(MIN_PAIRS - 1)
    assert co.estimate(co.NOMINAL, np.vstack([counts, [[2, 0]]])).value is not None


@given(st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3), min_size=1, max_size=30))
def test_kinds_are_the_distinct_rows_and_how_often_they_come(rows):
    array = np.array(rows, dtype=float)
    kinds, pairs = kinds_of(array)
    expected, times = np.unique(array, axis=0, return_counts=True)
    assert (kinds == expected).all()
    assert (pairs == times).all()
    half, halves = kinds_of(array / 2)
    assert (half == expected / 2).all()
    assert (halves == times).all()


def test_a_resample_holds_as_many_pairs_as_there_are():
    pairs = np.array([5, 3, 100])
    totals = bootstrap(np.eye(3), pairs, seed=4, resamples=300)
    assert (totals.sum(axis=1) == 108).all()
    assert totals.mean(axis=0) == pytest.approx(pairs, abs=2)


def test_full_agreement_is_not_certain():
    """Twenty pairs without a difference: Wilson's interval, and no bootstrap's [1, 1]."""
    pair, labeler = np.repeat(range(20), 2), [0, 1] * 20
    unanimous = co.agreement_of(votes_of(pair, labeler, np.repeat([FIRST, SECOND] * 10, 2)))
    found = unanimous.observed_agreement
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(wilson(20, 20)[0])
    for name in ("alpha_nominal", "alpha_ordinal", "fleiss_kappa", "gwet_ac1"):
        other = getattr(unanimous, name)
        assert (other.value, other.high) == pytest.approx((1, 1))
        assert 0.4 < other.low < found.low
    opposed = co.estimate(co.OBSERVED, np.array([[1.0, 1.0]] * 20))
    assert (opposed.value, opposed.low) == (0, 0)
    assert opposed.high == pytest.approx(wilson(0, 20)[1])
