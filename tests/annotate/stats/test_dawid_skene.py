"""Dawid and Skene's model against their own data, crowd-kit and the model itself."""

import numpy as np
import pandas as pd
import pytest
from crowdkit.aggregation import DawidSkene as KitDawidSkene
from crowdkit.aggregation import OneCoinDawidSkene as KitOneCoin
from hypothesis import given, settings
from statistics_data import REAL, real_votes, reference, rows_of_votes, votes_of_rows

from annotate.stats.dawid_skene import dawid_skene, one_coin

pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")  # crowd-kit's


def columns(votes):
    return votes.pair_N, votes.labeler_N, votes.verdict_N


def made(seed, *, accuracies, pairs=400, votes=4, classes=2):
    """Items with known truth, labeled by people of known accuracy."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, pairs)
    item = np.repeat(np.arange(pairs), votes)
    labeler = np.concatenate([rng.permutation(len(accuracies))[:votes] for _ in range(pairs)])
    right = rng.random(len(item)) < np.array(accuracies)[labeler]
    other = (truth[item] + rng.integers(1, classes, len(item))) % classes
    return truth, (item, labeler, np.where(right, truth[item], other))


def test_the_patients_of_1979():
    """Dawid and Skene 1979, Table 1: 45 patients, 5 observers, observer 1 three times each."""
    example = reference("dawid_skene_1979")
    rows = [
        (int(patient) - 1, int(observer) - 1, label - 1)
        for patient, observers in example["responses"].items()
        for observer, labels in observers.items()
        for label in labels
    ]
    fit = dawid_skene(*np.array(rows).T, classes=4, smoothing=0, tolerance=0, iterations=3000)
    expected = example["expected"]
    # The recorded run stopped after 15 rounds; the maximum lies a millionth above.
    assert fit.log_likelihood[14] == pytest.approx(expected["loglik"], abs=1e-6)
    assert fit.log_likelihood[-1] == pytest.approx(expected["loglik"], abs=2e-6)
    assert fit.log_likelihood[:3] == pytest.approx(expected["loglik_first_iters"], abs=1e-6)
    assert fit.prior_K == pytest.approx(expected["class_marginals"], abs=5e-3)
    assert fit.confusion_L_K_V == pytest.approx(np.array(expected["error_rates"]), abs=6e-3)
    assert (fit.posterior_P_K.argmax(axis=1) + 1).tolist() == expected["patient_class"]
    for patient, shares in expected["patient_probabilities_nontrivial"].items():
        assert fit.posterior_P_K[int(patient) - 1] == pytest.approx(shares, abs=6e-4)
    assert (np.diff(fit.log_likelihood) >= -1e-9).all()


def anchored(votes, classes=3):
    """The labels of real votes, and items whose class five others leave no doubt about: on those,
    every labeler gives every label of every class once. Without them crowd-kit's floor of 1e-10
    under its counts decides about labelers with a handful of votes."""
    cells = [(k, v) for k in range(classes) for v in range(classes)]
    rows = [
        row
        for i, (who, (k, v)) in enumerate((w, c) for w in range(votes.labelers) for c in cells)
        for row in [(votes.pairs + i, who, v)]
        + [(votes.pairs + i, votes.labelers + other, k) for other in range(5)]
    ]
    return np.hstack([np.array(columns(votes)), np.array(rows).T])


def kit_columns(fit):
    return fit.probas_.sort_index().sort_index(axis=1).to_numpy()


@pytest.mark.parametrize("name", REAL)
def test_real_votes_have_crowd_kits_posteriors(name):
    labels = anchored(real_votes(name))
    frame = pd.DataFrame(labels.T, columns=["task", "worker", "label"])
    kit = KitDawidSkene(n_iter=10, tol=-1).fit(frame)
    ours = dawid_skene(*labels, classes=3, smoothing=0, iterations=10, tolerance=-1)
    assert ours.posterior_P_K == pytest.approx(kit_columns(kit), abs=1e-6)
    kit = KitOneCoin(n_iter=10, tol=-1).fit(frame)
    ours = one_coin(*labels, classes=3, smoothing=0, iterations=10, tolerance=-1)
    assert ours.posterior_P_K == pytest.approx(kit_columns(kit), abs=1e-6)
    assert ours.accuracy_L == pytest.approx(kit.skills_.sort_index().to_numpy(), abs=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_random_votes_have_crowd_kits_confusion_matrices(classes):
    _, labels = made(classes, accuracies=[0.6, 0.7, 0.8, 0.9, 0.75], classes=classes)
    frame = pd.DataFrame(dict(zip(("task", "worker", "label"), labels, strict=True)))
    kit = KitDawidSkene(n_iter=60, tol=-1).fit(frame)
    ours = dawid_skene(*labels, classes=classes, smoothing=0, iterations=60, tolerance=-1)
    theirs = kit.errors_.sort_index().sort_index(axis=1).to_numpy()  # by labeler and label
    theirs = theirs.reshape(5, classes, classes).swapaxes(1, 2)
    assert ours.confusion_L_K_V == pytest.approx(theirs, abs=1e-6)


def test_known_accuracies_are_found_within_their_standard_errors():
    accuracies = np.array([0.55, 0.65, 0.75, 0.85, 0.95, 0.8])
    z = []
    for seed in range(25):
        _, labels = made(seed, accuracies=accuracies)
        fit = one_coin(*labels, classes=2)
        z.append((fit.accuracy_L - accuracies) / fit.error_L)
    assert 0.6 < np.std(z) < 1.4
    assert abs(np.mean(z)) < 0.3


def test_weighing_people_finds_more_truths_than_counting_them():
    truth, labels = made(1, accuracies=[0.95, 0.95, 0.5, 0.5, 0.5], votes=5, pairs=1000)
    counted = np.bincount(labels[0], labels[2]) > 2.5
    for model in (dawid_skene, one_coin):
        found = model(*labels, classes=2).posterior_P_K[:, 1] > 0.5
        assert (found == truth).mean() > (counted == truth).mean() + 0.05


@given(rows_of_votes)
@settings(max_examples=50, deadline=None)
def test_the_other_order_mirrors_and_repeated_events_change_nothing(rows):
    votes, again = votes_of_rows(rows), votes_of_rows([*rows, *rows])
    turn = np.array([1, 0, 2, 3])
    for model in (dawid_skene, one_coin):
        fit = model(*columns(votes), classes=4, items=10, labelers=5)
        mirrored = model(
            votes.pair_N, votes.labeler_N, turn[votes.verdict_N], classes=4, items=10, labelers=5
        )
        same = model(*columns(again), classes=4, items=10, labelers=5)
        assert mirrored.posterior_P_K[:, turn] == pytest.approx(fit.posterior_P_K, abs=1e-6)
        assert (same.posterior_P_K == fit.posterior_P_K).all()
        assert fit.posterior_P_K.sum(axis=1) == pytest.approx(np.ones(10))


@pytest.mark.parametrize("model", [dawid_skene, one_coin])
def test_one_labeler_one_pair_unanimous_opposed(model):
    alone = model([0, 1, 2], [0, 0, 0], [0, 1, 0], classes=2)
    assert np.isfinite(alone.posterior_P_K).all()
    single = model([0], [0], [1], classes=2)
    assert single.posterior_P_K[0, 1] > 0.5
    item, labeler = np.repeat(range(30), 2), [0, 1] * 30
    unanimous = model(item, labeler, np.repeat([0, 1] * 15, 2), classes=2)
    assert (unanimous.accuracy_L > 0.9).all()
    assert (unanimous.accuracy_L < 1).all()
    opposed = model(item, labeler, [0, 1] * 30, classes=2)
    assert np.isfinite(opposed.posterior_P_K).all()
    ties = model(item, labeler, [2] * 60, classes=4)
    assert (ties.posterior_P_K.argmax(axis=1) == 2).all()


@pytest.mark.parametrize("smoothing", [0.0, 1.0])
def test_leaps_come_to_rest_where_plain_rounds_do_in_fewer_rounds(smoothing, monkeypatch):
    """Few votes on each pair and weak labelers: plain EM needs hundreds of rounds."""
    _, labels = made(3, accuracies=np.linspace(0.4, 0.8, 20), pairs=1500, votes=3, classes=4)
    how = {"classes": 4, "smoothing": smoothing, "tolerance": 1e-12, "iterations": 5000}
    leaping = dawid_skene(*labels, **how)
    monkeypatch.setattr("annotate.stats.dawid_skene.PLAIN", 5000)
    plain = dawid_skene(*labels, **how)
    assert leaping.converged
    assert plain.converged
    assert len(leaping.log_likelihood) - 60 < (len(plain.log_likelihood) - 60) / 2
    assert leaping.log_likelihood[-1] == pytest.approx(plain.log_likelihood[-1], rel=1e-6)
    assert leaping.confusion_L_K_V == pytest.approx(plain.confusion_L_K_V, abs=5e-3)
    if not smoothing:
        assert (np.diff(leaping.log_likelihood) >= -1e-9).all()


def test_people_without_votes_have_no_accuracy():
    fit = one_coin([0, 0], [0, 2], [0, 0], classes=2, labelers=3)
    assert np.isnan(fit.accuracy_L).tolist() == [False, True, False]
    assert np.isnan(fit.error_L[1])
    with pytest.raises(ValueError, match="two classes"):
        one_coin([0], [0], [2], classes=2)
