"""Agreement: equal to published numbers and to the krippendorff package, and honest when unsure."""

from pathlib import Path

import krippendorff
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from annotate.agreement import (
    MIN_PAIRS,
    VERDICTS,
    Estimate,
    agreement_estimate,
    alpha_estimate,
    alpha_nominal,
    count_votes,
    observed_agreement,
    report_of,
)
from storage.records import Side, Verdict

SHARED = Path(__file__).parents[3] / "shared" / "data"
F, S, T, B, SKIP = Verdict

# Rows are raters, columns are items, None is a rating not given.
KRIPPENDORFF_2011_C = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
WIKIPEDIA = [
    [None, None, None, None, None, 3, 4, 1, 2, 1, 1, 3, 3, None, 3],
    [1, None, 2, 1, 3, 3, 4, 3, None, None, None, None, None, None, None],
    [None, None, 2, 1, 3, 4, 4, None, 2, 1, 1, 3, 3, None, 4],
]
WORDS = [
    ["pos", "neg", "neu", None],
    ["pos", "neg", "neu", "pos"],
    ["pos", "neg", "pos", "pos"],
]
ratings = st.integers(2, 6).flatmap(
    lambda people: st.lists(
        st.lists(st.sampled_from([None, F, S, T, B]), min_size=people, max_size=people),
        min_size=2,
        max_size=15,
    )
)  # one list per pair


def counts_of(raters: list[list[object]]) -> np.ndarray:
    """counts_P_V of rows of raters."""
    values = sorted({v for row in raters for v in row if v is not None})
    return np.array([[column.count(v) for v in values] for column in zip(*raters, strict=True)])


def table_of(pairs: list[list[Verdict | None]]) -> pa.Table:
    """The votes table of lists of votes, one list per pair."""
    rows = [
        {"pair_id": f"c1:{i}", "labeler": f"labeler {k}", "verdict": v.value}
        for i, votes in enumerate(pairs)
        for k, v in enumerate(votes)
        if v is not None
    ]
    extra = {"seconds": 5.0, "first_side": Side.LEFT.value}
    names = ["pair_id", "labeler", "verdict", *extra]
    schema = pa.schema([(n, pa.float64() if n == "seconds" else pa.string()) for n in names])
    return pa.Table.from_pylist([row | extra for row in rows], schema=schema)


@pytest.mark.parametrize(
    ("raters", "alpha"),
    [(KRIPPENDORFF_2011_C, 0.743), (WIKIPEDIA, 0.691358), (WORDS, 0.722222)],
    ids=["Krippendorff 2011, section C", "Wikipedia", "fast-krippendorff's tests"],
)
def test_alpha_is_the_published_one(raters, alpha):
    """Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), gives three digits."""
    assert alpha_nominal(counts_of(raters)) == pytest.approx(
        alpha, abs=5e-4 if alpha == 0.743 else 5e-7
    )


@given(ratings)
def test_alpha_is_that_of_the_krippendorff_package(pairs):
    pairable = [[v for v in votes if v] for votes in pairs if sum(v is not None for v in votes) > 1]
    assume(len({v for votes in pairable for v in votes}) > 1)
    codes = [[np.nan if v is None else VERDICTS.index(v) for v in votes] for votes in pairs]
    expected = krippendorff.alpha(
        reliability_data=np.array(codes, dtype=float).T,
        value_domain=[0, 1, 2, 3],
        level_of_measurement="nominal",
    )
    assert alpha_nominal(count_votes(table_of(pairs))) == pytest.approx(expected, abs=1e-9)


@given(ratings)
def test_observed_agreement_is_the_share_of_agreeing_vote_pairs(pairs):
    same = [
        a is b
        for votes in pairs
        for i, a in enumerate(votes)
        for b in votes[:i]
        if a is not None and b is not None
    ]
    found = observed_agreement(count_votes(table_of(pairs)))
    assert found == pytest.approx(np.mean(same) if same else np.nan, nan_ok=True)


@given(ratings, st.permutations(range(4)), st.randoms(use_true_random=False))
def test_other_names_for_verdicts_pairs_and_people_change_nothing(pairs, names, chance):
    counts = count_votes(table_of(pairs))
    renamed = [
        [None if v is None else VERDICTS[names[VERDICTS.index(v)]] for v in p] for p in pairs
    ]
    for votes in renamed:
        chance.shuffle(votes)
    chance.shuffle(renamed)
    for statistic in (alpha_nominal, observed_agreement):
        other = statistic(count_votes(table_of(renamed)))
        assert other == pytest.approx(statistic(counts), nan_ok=True)


@given(st.lists(st.tuples(*[st.sampled_from(VERDICTS)] * 3, st.booleans()), min_size=1))
def test_which_answer_of_a_pair_is_called_the_first_is_seen_only_by_chance_agreement(rows):
    """Observed agreement does not depend on the order; alpha needs one fixed order per pair."""
    plain = [list(votes) for *votes, _ in rows]
    turned = [[v.swapped() for v in votes] if turn else list(votes) for *votes, turn in rows]
    every = [[v.swapped() for v in votes] for votes in plain]
    counts, all_turned = count_votes(table_of(plain)), count_votes(table_of(every))
    assert observed_agreement(count_votes(table_of(turned))) == observed_agreement(counts)
    assert alpha_nominal(all_turned) == pytest.approx(alpha_nominal(counts), nan_ok=True)


@pytest.mark.parametrize(
    ("name", "agreement", "alpha"),
    [("llmfao_votes", 0.5322, 0.2906), ("mtbench_human_subset_votes", 0.6536, 0.4219)],
)
def test_agreement_of_real_votes_is_the_known_one(name, agreement, alpha):
    """Votes of people on real answers (dustalov/llmfao; lmsys/mt_bench_human_judgments)."""
    file = SHARED / f"{name}.parquet"
    if not file.is_file():
        pytest.skip(f"the votes are not on this machine: {file}")
    votes = pq.read_table(file, columns=["item_id", "choice"]).to_pydict()
    verdicts = {"a": "first", "b": "second", "tie": "tie"}
    table = {"pair_id": votes["item_id"], "verdict": [verdicts[c] for c in votes["choice"]]}
    counts = count_votes(pa.table(table))
    assert observed_agreement(counts) == pytest.approx(agreement, abs=5e-5)
    assert alpha_nominal(counts) == pytest.approx(alpha, abs=5e-5)
    found = alpha_estimate(counts)
    assert found.low < found.value < found.high
    assert found.n == (counts.sum(axis=1) >= 2).sum()


def test_perfect_agreement_is_one_and_chance_is_about_nothing():
    assert alpha_nominal(count_votes(table_of([[F, F], [S, S], [T, T]]))) == 1
    rng = np.random.default_rng(0)
    noise = rng.multinomial(3, [0.4, 0.4, 0.1, 0.1], size=4000)
    assert abs(alpha_nominal(noise)) < 0.03


def test_where_every_vote_is_the_same_alpha_is_undefined_and_not_perfect():
    counts = count_votes(table_of([[F, F]] * 20))
    assert np.isnan(alpha_nominal(counts))
    assert alpha_estimate(counts) == Estimate(value=None, low=None, high=None, n=20)
    assert agreement_estimate(counts) == Estimate(value=1.0, low=1.0, high=1.0, n=20)


def test_too_few_pairs_give_no_number():
    """Pairs with a single vote do not count towards enough."""
    pairs = [[F, F], [F, S], [S, S]] * 3
    assert len(pairs) == MIN_PAIRS - 1
    for statistic in (alpha_estimate, agreement_estimate):
        found = statistic(count_votes(table_of([*pairs, *[[F]] * 50])))
        assert found == Estimate(value=None, low=None, high=None, n=MIN_PAIRS - 1)
        assert statistic(count_votes(table_of([*pairs, [T, T]]))).value is not None


def test_the_interval_is_repeatable_and_narrows_with_more_pairs():
    few, many = (count_votes(table_of([[F, F], [F, S], [S, S]] * n)) for n in (10, 100))
    assert alpha_estimate(few) == alpha_estimate(few)
    widths = [e.high - e.low for e in (alpha_estimate(few), alpha_estimate(many))]
    assert widths[1] < widths[0] / 2


def test_the_report_counts_each_person_against_the_others():
    report = report_of(table_of([[F, F, None], [F, S, None], [T, None, T], [S, None, None]]))
    assert (report.judgments, report.pairs) == (7, 4)
    ann, bob, cem = report.labelers
    assert (ann.votes, ann.vote_pairs, ann.agreement) == (4, 3, pytest.approx(2 / 3))
    assert (bob.votes, bob.vote_pairs, bob.agreement) == (2, 2, 0.5)
    assert (cem.votes, cem.vote_pairs, cem.agreement) == (1, 1, 1.0)
    assert (ann.left_share, cem.left_share) == (pytest.approx(2 / 3), None)
    assert report.observed_agreement.value is None
