"""Settling a store: every pair whose votes changed gets its consensus, and only those."""

from dataclasses import replace
from random import Random

import pytest
from factories import NOW, fill_store, make_adjudication, make_judgment, open_store

from annotate.accounts import add_labeler
from annotate.accuracy import project_accuracy
from annotate.config import AnnotateConfig
from annotate.consensus import consensus_of, settle
from storage.pairs import consensus_by_pair
from storage.records import LabelerKind, Verdict

F, S, T, B, SKIP = Verdict
CONFIG = AnnotateConfig()
MODEL = AnnotateConfig(consensus="dawid_skene", settle_at=0.9)
PEOPLE = ("careful", "good", "coin")


def test_a_models_judgments_are_no_votes(tmp_path):
    with open_store(tmp_path, hold=True) as store:
        one, *_ = fill_store(store, pairs=2, labelers=("ann",), admin=None).pairs
        add_labeler(store, "judge", password=None, kind=LabelerKind.MODEL)
        store.append([make_judgment(one, "judge", F), make_judgment(one, "ann", S)])
        settle(store, AnnotateConfig(votes_per_pair=1))
        found = consensus_by_pair(store)[one.id]
        assert (found.verdict, found.votes) == (S, 1)


def test_a_pass_over_the_store_settles_what_a_kill_left_behind(tmp_path):
    with open_store(tmp_path, hold=True) as store:
        one, two, three, *_ = fill_store(store, pairs=4, labelers=(), admin=None).pairs
        store.append([make_judgment(p, who, F) for p in (one, two) for who in ("ann", "bob")])
        store.append([make_judgment(two, "bob", S, revision=1)])
        store.append([make_judgment(three, "ann", F)])
        store.append([make_judgment(three, "ann", F, revision=1, withdrawn=True)])
        assert settle(store, CONFIG) == 3
        known = consensus_by_pair(store)
        assert {p: c.verdict for p, c in known.items()} == {one.id: F, two.id: None, three.id: None}
        assert (known[two.id].votes, known[two.id].events) == (2, 3)
        assert (known[three.id].votes, known[three.id].events) == (0, 2)
        assert settle(store, CONFIG) == 0
        assert settle(store, AnnotateConfig(votes_per_pair=3)) == 3
        assert not any(c.settled for c in consensus_by_pair(store).values())
        assert settle(store, CONFIG) == 3
        assert consensus_by_pair(store)[one.id].settled


def test_an_empty_store_has_nothing_to_settle(tmp_path):
    assert settle(open_store(tmp_path), CONFIG) == 0


def test_what_all_votes_say_reaches_every_pair_but_not_for_a_trifle(tmp_path):
    """Once people turn out to agree more, every pair's probability is stored anew."""
    with open_store(tmp_path, hold=True) as store:
        pairs = fill_store(store, pairs=40, labelers=(), admin=None).pairs
        store.append([make_judgment(pairs[0], who, F) for who in ("ann", "bob")])
        assert settle(store, CONFIG) == 1
        assert consensus_by_pair(store)[pairs[0].id].probability_first == pytest.approx(
            0.9494,
            abs=1e-4,  # a = .8124 at agreement (1 + 20 * .68) / 21
        )
        store.append([make_judgment(pairs[1], who, F) for who in ("ann", "bob")])
        assert settle(store, CONFIG) == 1  # the first pair's moved by less than .01
        store.append([make_judgment(p, who, F) for p in pairs[2:] for who in ("ann", "bob")])
        assert settle(store, CONFIG) == 40
        assert consensus_by_pair(store)[pairs[0].id].probability_first > 0.98
        assert settle(store, CONFIG) == 0


def test_the_desk_and_the_pass_come_to_the_same(tmp_path):
    """With the accuracy the pass found, a vote's consensus is what the pass stores of it."""
    rng = Random(0)
    for name, config in (("majority", CONFIG), ("model", MODEL)):
        folder = tmp_path / name
        folder.mkdir()
        with open_store(folder, hold=True) as store:
            pairs = fill_store(store, pairs=70, labelers=(), admin=None).pairs
            said = {
                p.id: [make_judgment(p, who, rng.choice([F, F, S, T])) for who in PEOPLE]
                for p in pairs
            }
            store.append([j for found in said.values() for j in found])
            assert settle(store, config) == 70
            accuracy = project_accuracy(store, config)
            assert (accuracy.model is None) == (config is CONFIG)
            for pair in pairs:
                stored = consensus_by_pair(store)[pair.id]
                fresh = consensus_of(
                    pair, said[pair.id], events=3, config=config, now=NOW, accuracy=accuracy
                )
                assert fresh.probability_first == pytest.approx(stored.probability_first)
                same = replace(stored, probability_first=fresh.probability_first, created_at=NOW)
                assert fresh == same
            assert settle(store, config) == 0


def test_the_same_event_twice_is_one_vote(tmp_path):
    with open_store(tmp_path, hold=True) as store:
        one, *_ = fill_store(store, pairs=1, labelers=(), admin=None).pairs
        for _ in range(2):
            store.append([make_judgment(one, "ann", F)])
        settle(store, CONFIG)
        found = consensus_by_pair(store)[one.id]
        assert (found.votes, found.events, found.settled) == (1, 1, False)
        assert settle(store, CONFIG) == 0


def test_adjudications_are_settled_with_and_without_votes_and_undone_when_withdrawn(tmp_path):
    with open_store(tmp_path, hold=True) as store:
        one, two, *_ = fill_store(store, pairs=3, labelers=(), admin=None).pairs
        store.append([make_judgment(one, who, F) for who in ("ann", "bob")])
        made = [make_adjudication(one, S), make_adjudication(two, None, id="b")]
        store.append(made)
        assert settle(store, CONFIG) == 2
        known = consensus_by_pair(store)
        assert {i: (c.verdict, c.method) for i, c in known.items()} == {
            one.id: (S, "adjudicated"),
            two.id: (None, "adjudicated"),
        }
        assert settle(store, CONFIG) == 0
        store.append([replace(a, id=f"{a.id}2", revision=1, withdrawn=True) for a in made])
        assert settle(store, CONFIG) == 2
        known = consensus_by_pair(store)
        assert (known[one.id].verdict, known[one.id].method) == (F, "majority")
        assert (known[two.id].settled, known[two.id].reason) == (False, "0 of 2 votes")
