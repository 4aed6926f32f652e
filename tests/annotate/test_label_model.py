"""Dawid and Skene's model of a project: who is right how often shows in what pairs come to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotate.label_model import CODES, MODEL_PAIRS, LabelModel, fit_labels
from annotate.stats.votes import VERDICTS, Votes, votes_of
from storage.records import Verdict

F, S, T, B, _ = Verdict
NAMES = ["careful", "good", "opposed", "random"]
RIGHT = (0.95, 0.85, 0.1, 0.5)
MIRROR = np.array([1, 0, 2, 3])


def simulated(pairs: int = 400, seed: int = 0) -> tuple[Votes, np.ndarray]:
    """Everybody votes on every pair, whose better answer is known."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, pairs)
    right = rng.random((pairs, 4)) < np.array(RIGHT)
    said = np.where(right, truth[:, None], 1 - truth[:, None])
    said[rng.random((pairs, 4)) < 0.05] = 2
    pair, labeler = np.indices(said.shape)
    return votes_of(pair.ravel(), labeler.ravel(), said.ravel()), truth


def fitted(votes: Votes, names: list[str] = NAMES) -> LabelModel:
    model = fit_labels(votes, names)
    assert model is not None
    return model


def test_people_are_known_by_how_they_vote_and_the_opposed_ones_are_turned_round():
    votes, truth = simulated()
    model = fitted(votes)
    for name, right in zip(NAMES, RIGHT, strict=True):
        assert model.confusion[name][0, 0] / model.confusion[name][0, :2].sum() == pytest.approx(
            right, abs=0.08
        )
    found = model.posteriors(votes, NAMES).argmax(axis=1)
    assert np.mean(found == truth) > 0.95
    # Against two people who are seldom right, one who nearly always is prevails.
    chances = model.posterior([("careful", F), ("opposed", S), ("random", S)])
    assert VERDICTS[int(chances.argmax())] is F


def test_one_pair_and_all_pairs_come_to_the_same():
    votes, _ = simulated(60)
    model = fitted(votes)
    at_once = model.posteriors(votes, NAMES)
    for p in range(votes.pairs):
        rows = votes.pair_N == p
        said = [
            (NAMES[who], VERDICTS[v])
            for who, v in zip(votes.labeler_N[rows], votes.verdict_N[rows], strict=True)
        ]
        assert model.posterior(said) == pytest.approx(at_once[p], abs=1e-12)


@given(st.integers(0, 5), st.lists(st.booleans(), min_size=60, max_size=60))
def test_calling_any_answers_the_other_way_round_mirrors_their_posterior_alone(seed, turned):
    votes, _ = simulated(60, seed)
    turn = np.array(turned)
    mirrored = np.where(turn[votes.pair_N], MIRROR[votes.verdict_N], votes.verdict_N)
    other = votes_of(votes.pair_N, votes.labeler_N, mirrored)
    one, two = (fitted(v).posteriors(v, NAMES) for v in (votes, other))
    expected = np.where(turn[:, None], one[:, MIRROR], one)
    assert two == pytest.approx(expected, abs=1e-4)


def test_renaming_people_changes_nothing_but_the_names():
    votes, _ = simulated(80)
    order = np.array([2, 0, 3, 1])
    other = votes_of(votes.pair_N, order[votes.labeler_N], votes.verdict_N)
    names = [NAMES[i] for i in np.argsort(order)]
    one, two = fitted(votes), fitted(other, names)
    assert two.posteriors(other, names) == pytest.approx(one.posteriors(votes, NAMES), abs=1e-6)
    for name in NAMES:
        assert two.confusion[name] == pytest.approx(one.confusion[name], abs=1e-6)


def test_somebody_new_counts_like_everybody_together():
    model = fitted(simulated()[0])
    assert model.posterior([("new", F)]) == pytest.approx(
        model.prior_K * model.anybody[:, CODES[F]] / (model.prior_K @ model.anybody[:, CODES[F]])
    )
    assert model.posterior([]) == pytest.approx(model.prior_K)


@pytest.mark.parametrize("verdict", [F, T, B])
def test_unanimous_projects_have_a_model_too(verdict):
    n = 2 * MODEL_PAIRS
    votes = votes_of(np.repeat(range(n // 2), 2), [0, 1] * (n // 2), [CODES[verdict]] * n)
    chances = fitted(votes, ["ann", "bob"]).posterior([("ann", verdict), ("bob", verdict)])
    assert VERDICTS[int(chances.argmax())] is verdict
    assert np.isfinite(chances).all()


def test_few_pairs_or_one_vote_each_tell_nothing_of_people():
    few = votes_of(
        np.repeat(range(MODEL_PAIRS - 1), 2),
        [0, 1] * (MODEL_PAIRS - 1),
        [0] * (2 * MODEL_PAIRS - 2),
    )
    single = votes_of(range(500), [0] * 500, [0] * 500)
    assert fit_labels(few, ["ann", "bob"]) is None
    assert fit_labels(single, ["ann"]) is None
