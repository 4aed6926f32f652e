"""Ratings against published fits, independent ones, and their symmetries."""

import csv
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from statistics_data import real_table, reference

from annotate.stats.matches import Ties, groups_of, matches_of
from annotate.stats.ratings import fit_ratings

LLMFAO = Path(__file__).with_name("llmfao_bradley_terry.csv")


def plain(matches, **options):
    return fit_ratings(matches, ridge=0, resamples=0, **options)


def baseball(*, home):
    rows = reference("bradley_terry_baseball_1987")["home_away_wins"]
    teams = reference("bradley_terry_baseball_1987")["teams"]
    at_home, away, won, lost = zip(*rows, strict=True)
    places = [[teams.index(t) for t in names] for names in (at_home, away)]
    style = np.ones((len(rows), 1)) if home else None
    return teams, matches_of(*places, won, lost, style_M_F=style)


def test_baseball_1987_without_and_with_the_home_advantage():
    """Agresti 2002, section 10.6.2, as BradleyTerry2 fits it; Baltimore is the reference."""
    expected = reference("bradley_terry_baseball_1987")["expected"]
    for key, home in (("no_home", False), ("home", True)):
        teams, matches = baseball(home=home)
        fit = plain(matches)
        assert fit.deviance == pytest.approx(expected[f"deviance_{key}"], abs=6e-4)
        for team, coefficient in expected[f"coef_{key}"].items():
            error = expected[f"se_{key}"][team]
            if team == "at.home":
                assert fit.style_F[0] == pytest.approx(coefficient, abs=5e-5)
                assert fit.style_error_F[0] == pytest.approx(error, abs=5e-5)
            else:
                gap = fit.gap(teams.index(team), teams.index("Baltimore"))
                assert gap.value == pytest.approx(coefficient, abs=5.1e-5)
                assert gap.error == pytest.approx(error, abs=5.1e-5)


def test_citations_of_statistics_journals():
    """Stigler 1994 in Agresti 2002, section 10.6, as in BradleyTerry2's vignette."""
    example = reference("bradley_terry_citations_stigler")
    names = example["journals"]
    one, other, won, lost = zip(*example["wins"], strict=True)
    places = [[names.index(j) for j in journals] for journals in (one, other)]
    fit = plain(matches_of(*places, won, lost))
    for journal, coefficient in example["expected_from_memory"].items():
        gap = fit.gap(names.index(journal), names.index("Biometrika"))
        assert gap.value == pytest.approx(coefficient, abs=5e-6)


def llmfao_matches(style=None):
    table = real_table("llmfao_votes", ["model_a", "model_b", "choice", "prompt_id"])
    names = sorted({*table["model_a"], *table["model_b"]})
    places = {n: i for i, n in enumerate(names)}
    choice = np.array(table["choice"])
    matches = matches_of(
        [places[m] for m in table["model_a"]],
        [places[m] for m in table["model_b"]],
        choice == "a",
        choice == "b",
        choice == "tie",
        prompt_M=table["prompt_id"],
        style_M_F=style,
    )
    return names, matches


def test_the_llmfao_leaderboards_59_scores():
    """Evalica's recorded scores of the same votes (dustalov/evalica, llmfao-golden.csv), a tie being
    half a win each; scaled to sum to one."""
    with LLMFAO.open(newline="") as file:
        expected = {row["item"]: float(row["score"]) for row in csv.DictReader(file)}
    names, matches = llmfao_matches()
    fit = plain(matches, ties=Ties.HALF)
    scores = np.exp(fit.rating_S)
    assert len(names) == len(expected) == 59
    assert dict(zip(names, scores / scores.sum(), strict=True)) == pytest.approx(expected, abs=1e-6)


def test_a_fit_without_ties_is_statsmodels_logistic_regression():
    names, matches = llmfao_matches()
    fit = plain(matches, ties=Ties.HALF)
    design = np.zeros((len(matches.wins_M), len(names)))
    rows = np.arange(len(design))
    design[rows, matches.first_M] += 1
    design[rows, matches.second_M] -= 1
    counts = np.column_stack([matches.wins_M, matches.losses_M]) + matches.ties_M[:, None] / 2
    glm = sm.GLM(counts, design[:, 1:], family=sm.families.Binomial()).fit(tol=1e-14, maxiter=100)
    assert fit.rating_S[1:] - fit.rating_S[0] == pytest.approx(glm.params, abs=1e-6)
    errors = [fit.gap(i, 0).error for i in range(1, len(names))]
    assert errors == pytest.approx(glm.bse, abs=1e-6)


def test_davidsons_ties_are_those_of_a_general_optimizer():
    names, matches = llmfao_matches()
    fit = plain(matches)

    def loss(theta):
        x = np.append(0, theta[:-1])[matches.first_M] - np.append(0, theta[:-1])[matches.second_M]
        logits = np.stack([x / 2, -x / 2, np.full(len(x), theta[-1])])
        chances = logits - np.logaddexp.reduce(logits, axis=0)
        return -(np.stack([matches.wins_M, matches.losses_M, matches.ties_M]) * chances).sum()

    best = minimize(loss, np.zeros(len(names)), options={"gtol": 1e-6, "maxiter": 500})
    theta = np.append(fit.rating_S[1:] - fit.rating_S[0], np.log(fit.tie))
    assert loss(theta) <= best.fun + 1e-9
    assert theta == pytest.approx(best.x, abs=1e-4)


rows_of_matches = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 3),
        *[st.integers(0, 3)] * 3,
        st.floats(-2, 2),
        st.integers(0, 11),
    ),
    min_size=1,
    max_size=30,
)


@given(rows_of_matches, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_which_answer_is_called_first_changes_no_digit(rows, chance):
    def fit(rows):
        one, other, won, lost, tied, style, prompt = zip(*rows, strict=True)
        matches = matches_of(
            one,
            other,
            won,
            lost,
            tied,
            style_M_F=np.array(style)[:, None],
            prompt_M=prompt,
            policies=4,
        )
        return fit_ratings(matches, resamples=10)

    turned = [
        (b, a, lost, won, tied, -style, prompt)
        if chance.random() < 0.5
        else (a, b, won, lost, tied, style, prompt)
        for a, b, won, lost, tied, style, prompt in rows
    ]
    there, back = fit(rows), fit(turned)
    for name in ("rating_S", "error_S", "low_S", "high_S", "style_F", "style_low_F", "covariance"):
        np.testing.assert_array_equal(getattr(there, name), getattr(back, name))


def test_other_names_of_policies_change_nothing():
    names, matches = llmfao_matches()
    order = np.random.default_rng(0).permutation(len(names))
    renamed = matches_of(
        order[matches.first_M],
        order[matches.second_M],
        matches.wins_M,
        matches.losses_M,
        matches.ties_M,
    )
    assert plain(renamed).rating_S[order] == pytest.approx(plain(matches).rating_S, abs=1e-8)


def simulated(seed, *, prompts=300, ratings=(0.6, 0.0, -0.6), length=0.8):
    rng = np.random.default_rng(seed)
    first, second = np.array([rng.permutation(3)[:2] for _ in range(prompts * 3)]).T
    style = rng.normal(size=(prompts * 3, 1)) + np.array([1.0, 0.0, 0.0])[first][:, None]
    style -= np.array([1.0, 0.0, 0.0])[second][:, None]
    x = np.array(ratings)[first] - np.array(ratings)[second] + length * style[:, 0]
    logits = np.column_stack([x / 2, -x / 2, np.full(len(x), -0.5)])
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    outcome = (rng.random((len(x), 1)) > shares.cumsum(axis=1)).sum(axis=1)
    return matches_of(
        first, second, outcome == 0, outcome == 1, outcome == 2,
        style_M_F=style, prompt_M=np.repeat(np.arange(prompts), 3),
    )  # fmt: skip


def test_style_control_tells_a_better_policy_from_a_longer_one():
    z = []
    for seed in range(20):
        fit = fit_ratings(simulated(seed), ridge=1e-6, resamples=0)
        estimates = np.append(fit.rating_S, [fit.style_F[0], np.log(fit.tie)])
        errors = np.sqrt(np.diag(fit.covariance))
        z.append((estimates - np.array([0.6, 0, -0.6, 0.8, -0.5])) / errors)
    assert 0.7 < np.std(z) < 1.3
    assert abs(np.mean(z)) < 0.3


def test_one_newton_step_for_large_data_gives_the_interval_of_refits(monkeypatch):
    matches = simulated(4)
    full = fit_ratings(matches, resamples=300, seed=3)
    monkeypatch.setattr("annotate.stats.ratings.REFITS", 0)
    step = fit_ratings(matches, resamples=300, seed=3)
    assert step.low_S == pytest.approx(full.low_S, abs=0.02)
    assert step.high_S == pytest.approx(full.high_S, abs=0.02)
    assert (full.low_S < full.rating_S).all()
    assert (full.rating_S < full.high_S).all()


def test_policies_that_never_met_are_not_compared():
    matches = matches_of([0, 2, 0], [1, 3, 1], [5, 2, 1], [3, 4, 1], policies=5)
    assert groups_of(matches).tolist() == [0, 0, 1, 1, 2]
    fit = fit_ratings(matches)
    assert fit.gap(0, 2) is None
    assert fit.gap(0, 1).win_probability == pytest.approx(6 / 10, abs=0.01)
    assert np.isnan(fit.rating_S[4])
    assert np.isnan(fit.low_S).all()  # three prompts are too few to resample


def test_a_policy_that_always_won_stays_finite_and_all_ties_are_even():
    always = fit_ratings(matches_of([0] * 20, [1] * 20, [1] * 20, [0] * 20))
    assert 1 < always.gap(0, 1).value < 20
    ties = fit_ratings(matches_of([0] * 20, [1] * 20, [0] * 20, [0] * 20, [1] * 20))
    assert ties.gap(0, 1).value == 0
    nothing = fit_ratings(matches_of([], [], [], [], policies=2))
    assert np.isnan(nothing.rating_S).all()
