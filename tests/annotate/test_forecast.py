"""Votes still wanted, and when they will be in."""

from dataclasses import replace
from datetime import timedelta

import pytest
from factories import NOW, fill_store, make_judgment, open_store

from annotate.config import AnnotateConfig
from annotate.consensus import settle
from annotate.forecast import forecast, wanted_under
from storage.people import vote_times, votes_growth
from storage.records import Purpose, Verdict
from storage.store import utc_now

FIRST, SECOND = Verdict.FIRST, Verdict.SECOND


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path) as made, made.connected():
        yield made


def test_wanted_votes_count_tie_breakers_once_they_are_due(store):
    pairs = fill_store(store, pairs=4).pairs
    config = AnnotateConfig()
    minute = (utc_now() - NOW).total_seconds() / 60 - 120
    store.append(
        [
            make_judgment(pairs[0], "ann", FIRST, minute=minute),
            make_judgment(pairs[0], "bob", FIRST, minute=minute),
            make_judgment(pairs[1], "ann", FIRST, minute=minute),
            make_judgment(pairs[1], "bob", SECOND, minute=minute),
        ]
    )
    settle(store, config)
    # the first pair is settled, the second wants its third vote, the others want two each
    three = AnnotateConfig(votes_per_pair=3)
    assert wanted_under(store, config, three, AnnotateConfig(tie_breaker=False)) == [5, 8, 4]
    found = forecast(store, config, times=vote_times(store))
    assert found.per_hour == pytest.approx(2.0, rel=0.01)
    assert found.hours == pytest.approx(2.5, rel=0.01)


def test_without_a_vote_in_the_last_day_there_is_no_forecast(store):
    pairs = fill_store(store, pairs=4).pairs
    store.append([make_judgment(pairs[0], "ann", FIRST)])
    assert forecast(store, AnnotateConfig(), times=vote_times(store)).hours is None


@pytest.mark.parametrize(
    ("points", "reached"), [(2, [1, 3, 5]), (4, [1, 2, 3, 4, 5]), (9, [1, 2, 3, 4, 5])]
)
def test_the_growth_of_votes_ends_with_the_last_one(store, points, reached):
    pairs = fill_store(store, pairs=5).pairs
    store.append([make_judgment(pair, "ann", FIRST, minute=m) for m, pair in enumerate(pairs)])
    store.append([make_judgment(pairs[0], "bob", Verdict.SKIP, minute=9)])
    gold = replace(pairs[0], id="gold", purpose=Purpose.GOLD)
    store.append([gold])
    store.append([make_judgment(gold, "bob", FIRST, minute=10)])
    growth = votes_growth(vote_times(store), points=points)
    assert [votes for _, votes in growth] == reached
    assert growth[-1][0] - growth[0][0] == timedelta(minutes=4)


def test_without_votes_nothing_grew(store):
    assert votes_growth(vote_times(store)) == []
