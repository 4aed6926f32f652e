"""What a lead changes while people work: seen by every command, checked, and on the record."""

import pytest
from factories import open_store

from annotate import settings
from annotate.config import AnnotateConfig
from storage import team
from storage.errors import ConfigurationError

CONFIG = AnnotateConfig(votes_per_pair=2, port=7999)


def test_a_server_draws_a_seed_of_its_own_once_unless_the_file_names_one(store, tmp_path):
    """With the seed a labeler could work out which of their next pairs are gold."""
    seed = settings.with_own_seed(store, CONFIG).seed
    assert settings.with_own_seed(store, CONFIG).seed == seed
    (tmp_path / "other").mkdir()
    with open_store(tmp_path / "other") as other:
        assert settings.with_own_seed(other, CONFIG).seed != seed
    assert settings.with_own_seed(store, AnnotateConfig(seed=0)).seed == 0
    assert settings.in_force(store, CONFIG) == CONFIG


def test_without_changes_the_file_counts(store):
    assert settings.in_force(store, CONFIG) == CONFIG


def test_a_change_is_in_force_at_once_and_on_the_record(store):
    changed = settings.change(store, CONFIG, {"votes_per_pair": 3, "stop_at": 0.9}, author="lead")
    assert changed == settings.in_force(store, CONFIG)
    assert (changed.votes_per_pair, changed.stop_at, changed.port) == (3, 0.9, 7999)
    trail = {(a.actor, a.action, a.subject, a.detail) for a in team.activities(store)}
    assert ("lead", "setting changed", "votes_per_pair", "3") in trail


def test_none_goes_back_to_the_file(store):
    settings.change(store, CONFIG, {"votes_per_pair": 3}, author="lead")
    settings.change(store, CONFIG, {"votes_per_pair": None}, author="lead")
    assert settings.in_force(store, CONFIG).votes_per_pair == 2
    assert team.settings(store)["votes_per_pair"].revision == 1


def test_off_is_off_whatever_the_file_says_and_none_goes_back_to_it(store):
    config = AnnotateConfig(stop_at=0.9, daily_limit=50)
    off = settings.change(store, config, {"stop_at": "off", "daily_limit": "off"}, author="lead")
    assert off == settings.in_force(store, config)
    assert (off.stop_at, off.daily_limit) == (None, None)
    settings.change(store, config, {"stop_at": None}, author="lead")
    back = settings.in_force(store, config)
    assert (back.stop_at, back.daily_limit) == (0.9, None)
    trail = {(a.subject, a.detail) for a in team.activities(store)}
    assert trail == {
        ("stop_at", "off"),
        ("daily_limit", "off"),
        ("stop_at", "as in pairloop.toml"),
    }


def test_what_is_off_already_leaves_no_row(store):
    settings.change(store, CONFIG, {"stop_at": "off"}, author="lead")
    assert team.settings(store) == {}


def test_an_unchanged_value_leaves_no_row(store):
    settings.change(store, CONFIG, {"votes_per_pair": 2}, author="lead")
    assert team.settings(store) == {}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"port": 1}, "no setting 'port'"),
        ({"votes_per_pair": "off"}, "votes_per_pair can't be off; daily_limit and stop_at can"),
        ({"stop_at": 0.9, "tie_breaker": "off"}, "tie_breaker can't be off"),
        ({"votes_per_pair": 0}, "votes_per_pair: .*greater"),
        ({"overlap_share": 0.5, "stop_at": 1.5}, "stop_at: .*less"),
    ],
)
def test_a_wrong_change_is_refused_whole(store, changes, why):
    with pytest.raises(ConfigurationError, match=why):
        settings.change(store, CONFIG, changes, author="lead")
    assert team.settings(store) == {}
