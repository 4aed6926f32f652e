"""What a vote is worth: the project's own agreement, drawn towards the settings while it is young."""

import pytest
from factories import fill_store, make_judgment, open_store

from annotate.accounts import add_labeler
from annotate.accuracy import (
    LEAST_AGREEMENT,
    PRIOR_PAIRS,
    Accuracy,
    project_accuracy,
    shrunk_agreement,
)
from annotate.config import AnnotateConfig
from storage.records import LabelerKind, Verdict

F, S, T, B, SKIP = Verdict
CONFIG = AnnotateConfig()
PRIOR = 0.8**2 + 0.2**2


def expected(agreeing: int, pairs: int) -> float:
    return (agreeing + PRIOR_PAIRS * PRIOR) / (pairs + PRIOR_PAIRS)


def test_agreement_goes_from_the_settings_to_what_is_found():
    assert shrunk_agreement(0, 0, vote_accuracy=0.8) == pytest.approx(PRIOR)
    assert shrunk_agreement(10, 10, vote_accuracy=0.8) == pytest.approx(expected(10, 10))
    assert shrunk_agreement(73_000, 100_000, vote_accuracy=0.8) == pytest.approx(0.73, abs=1e-4)


def test_even_people_who_contradict_each_other_leave_a_vote_some_weight():
    assert shrunk_agreement(0, 10_000, vote_accuracy=0.8) == LEAST_AGREEMENT


def test_an_empty_project_has_the_settings(tmp_path):
    found = project_accuracy(open_store(tmp_path), AnnotateConfig(vote_accuracy=0.9))
    assert found == Accuracy.prior(0.9)
    assert found.own == pytest.approx(0.9**2 + 0.1**2)


def test_the_first_two_peoples_preferences_are_compared_and_nothing_else(tmp_path):
    with open_store(tmp_path, hold=True) as store:
        pairs = fill_store(store, pairs=8, labelers=(), admin=None).pairs
        add_labeler(store, "judge", password=None, kind=LabelerKind.MODEL)

        def say(i: int, *said: tuple[str, Verdict, int]) -> None:
            store.append(
                [make_judgment(pairs[i], who, v, minute=minute) for who, v, minute in said]
            )

        say(0, ("ann", F, 0), ("bob", F, 1))  # agree
        say(1, ("ann", F, 0), ("bob", S, 1), ("cy", F, 2))  # differ; the third was asked for that
        say(2, ("ann", F, 0), ("bob", T, 1))  # no preference
        say(3, ("ann", F, 0), ("judge", F, 1))  # a model is nobody
        say(4, ("ann", F, 0), ("bob", SKIP, 1), ("cy", F, 2))  # agree
        assert project_accuracy(store, CONFIG).own == pytest.approx(expected(2, 3))
        # A changed mind stays in its place; one taken back has none.
        store.append([make_judgment(pairs[1], "ann", S, revision=1, minute=9)])
        assert project_accuracy(store, CONFIG).own == pytest.approx(expected(3, 3))
        store.append([make_judgment(pairs[0], "ann", F, revision=1, withdrawn=True, minute=9)])
        assert project_accuracy(store, CONFIG).own == pytest.approx(expected(2, 2))
        assert project_accuracy(store, CONFIG).imported == pytest.approx(PRIOR)
        assert project_accuracy(store, CONFIG).model is None
