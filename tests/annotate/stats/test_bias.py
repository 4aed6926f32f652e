"""The bias model against statsmodels, a dense fit, known truths and its symmetry."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from scipy.optimize import minimize
from scipy.special import expit
from statistics_data import rows_of_votes, swapped, votes_of_rows

from annotate.stats.bias import fit_bias, others_logit
from annotate.stats.consensus_model import share_first
from annotate.stats.style import FEATURES, in_typical_units, style_differences, style_of, styles_of

NAMES = ("length", "lists")


def made(seed, *, pairs=500, labelers=8, side=0.3, length=0.6, spread=0.0):
    """Votes with known side and length effects; labeler 0 follows the left side alone."""
    rng = np.random.default_rng(seed)
    pair = np.repeat(np.arange(pairs), 3)
    labeler = np.concatenate([rng.permutation(labelers)[:3] for _ in range(pairs)])
    style = rng.normal(size=(pairs, 2))[pair]
    left = rng.random(len(pair)) < 0.5
    x = side * np.where(left, 1, -1) + length * style[:, 0] + spread * rng.normal(size=pairs)[pair]
    x = np.where(labeler == 0, 2.0 * np.where(left, 1, -1), x)
    return rng.random(len(pair)) < expit(x), pair, labeler, left, style


def values(fit):
    return [e.value for e in fit.overall]


def test_without_departures_it_is_logistic_regression_with_errors_clustered_by_pair():
    first, pair, labeler, left, style = made(1, spread=1.0)
    fit = fit_bias(
        first, pair, labeler, left,
        style_N_F=style, styles=NAMES, prior_deviation=1e6, labeler_deviation=1e-7,
    )  # fmt: skip
    design = np.column_stack([np.where(left, 1.0, -1.0), style])
    options = {"cov_type": "cluster", "cov_kwds": {"groups": pair, "use_correction": False}}
    theirs = sm.GLM(first.astype(float), design, family=sm.families.Binomial())
    theirs = theirs.fit(tol=1e-14, **options)
    assert values(fit) == pytest.approx(theirs.params, abs=1e-6)
    assert [e.error for e in fit.overall] == pytest.approx(theirs.bse, abs=1e-6)
    assert [e.name for e in fit.overall] == ["side", *NAMES]


def test_with_departures_it_is_the_dense_penalised_fit():
    first, pair, labeler, left, style = made(2, pairs=120)
    strength = np.random.default_rng(0).normal(size=len(first))
    fit = fit_bias(first, pair, labeler, left, style_N_F=style, styles=NAMES, strength_N=strength)
    side = np.where(left, 1.0, -1.0)
    shared = np.column_stack([side, style, strength])
    own = np.concatenate([np.eye(8)[labeler] * c[:, None] for c in (side, style[:, 0])], axis=1)
    design = np.concatenate([shared, own], axis=1) * np.where(first, 1, -1)[:, None]
    precision = np.array([1 / 9] * 4 + [4.0] * 16)

    def loss(theta):
        return np.logaddexp(0, -design @ theta).sum() + precision @ theta**2 / 2

    best = minimize(loss, np.zeros(20), options={"gtol": 1e-8})
    assert values(fit) == pytest.approx(best.x[:4], abs=1e-6)
    chance = expit(design @ best.x)
    covariance = np.linalg.inv(
        design.T @ (design * (chance * (1 - chance))[:, None]) + np.diag(precision)
    )
    for who in fit.by_labeler:
        for j, effect in enumerate(who.effects):
            at = 4 + 8 * j + who.labeler
            assert effect.value == pytest.approx(best.x[j] + best.x[at], abs=1e-6)
            variance = covariance[j, j] + covariance[at, at] + 2 * covariance[j, at]
            assert effect.error == pytest.approx(np.sqrt(variance), abs=1e-6)


def test_known_effects_are_found_and_the_labeler_who_follows_the_side_stands_out():
    fit = fit_bias(*made(3, pairs=3000)[:4], style_N_F=made(3, pairs=3000)[4], styles=NAMES)
    worst = max(fit.by_labeler, key=lambda who: who.effects[0].value)
    assert worst.labeler == 0
    assert worst.effects[0].low > 1.5
    for who in fit.by_labeler[1:]:
        side, length = who.effects
        assert side.value == pytest.approx(0.3, abs=4 * side.error)
        assert length.value == pytest.approx(0.6, abs=4 * length.error)
    assert fit.converged


@given(rows_of_votes)
@settings(max_examples=40, deadline=None)
def test_which_answer_is_called_first_changes_no_digit(rows):
    votes = votes_of_rows(rows)
    chance = np.random.default_rng(len(rows))
    left, style = chance.random(len(votes)) < 0.5, chance.normal(size=(votes.pairs, 2))
    turned = chance.random(votes.pairs) < 0.5
    other = swapped(votes, np.flatnonzero(turned))
    turn = turned[votes.pair_N]
    fits = []
    for v, lefts, styles in (
        (votes, left, style[votes.pair_N]),
        (other, left ^ turn, np.where(turn[:, None], -1, 1) * style[votes.pair_N]),
    ):
        sided = v.verdict_N <= 1
        fits.append(
            fit_bias(
                v.verdict_N[sided] == 0, v.pair_N[sided], v.labeler_N[sided], lefts[sided],
                style_N_F=styles[sided], styles=NAMES,
                strength_N=others_logit(v, agreement=0.7)[sided],
            )
        )  # fmt: skip
    assert fits[0] == fits[1]


def test_all_on_the_left_stays_finite_and_no_votes_say_nothing():
    fit = fit_bias([True] * 30, range(30), [0] * 30, [True] * 30)
    (side,) = fit.overall
    assert 1 < side.value < 10
    assert side.share > 0.7
    nothing = fit_bias([], [], [], [])
    assert values(nothing) == [0]
    assert nothing.by_labeler == ()


def test_others_votes_leave_ones_own_out():
    votes = votes_of_rows([(0, 0, 0, 0), (0, 1, 0, 0), (0, 2, 2, 0), (1, 0, 1, 0)])
    found = others_logit(votes, agreement=0.7)
    expected = share_first(np.array([1.5]), np.array([0.5]), agreement=0.7)[0]
    assert expit(found[0]) == pytest.approx(expected)
    assert found[3] == 0


def test_markdown_is_counted_outside_of_code():
    text = "# One\n\n- a **b**\n- c\n1. d\n\n```py\n# no heading\n- no item\n```\n__e__"
    assert style_of(text) == (len(text), 1, 3, 2, 1)
    assert style_of("") == (0, 0, 0, 0, 0)
    assert style_of("```\nunclosed # x\n- y")[1:] == (0, 0, 0, 1)
    assert styles_of([]).shape == (0, len(FEATURES))


def test_style_differences_are_mirrored_and_zero_where_neither_has_any():
    first, second = styles_of(["**a** b", "# h\nlong text"]), styles_of(["a", "b"])
    there, back = style_differences(first, second), style_differences(second, first)
    assert (there == -back).all()
    assert there[0, FEATURES.index("bold")] == 1
    assert there[0, FEATURES.index("code")] == 0
    scaled, size = in_typical_units(there)
    assert (scaled**2).mean(axis=0)[0] == pytest.approx(1)
    assert size[FEATURES.index("code")] == 1
