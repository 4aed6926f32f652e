"""Adjudications: the latest decision counts, the first own view does."""

from dataclasses import replace
from datetime import timedelta

import pytest
from factories import NOW, make_adjudication, open_store

from storage import adjudications
from storage.adjudication_records import Cause, DiscussionNote, OwnView
from storage.records import Side, Strength, Verdict


def decision(key="a0", pair_id="c1:x", **changes):
    return make_adjudication(pair_id, **{"id": key, "adjudicator": "jo"} | changes)


def view(key="v0", **changes):
    values = {
        "id": key,
        "pair_id": "c1:x",
        "adjudicator": "jo",
        "verdict": Verdict.TIE,
        "strength": None,
        "note": "",
        "first_side": Side.LEFT,
        "seconds": 3.0,
        "created_at": NOW,
    }
    return OwnView(**values | changes)


def test_the_latest_decision_per_pair_counts_whoever_made_it(tmp_path):
    first = decision()
    changed = decision("a1", revision=1, adjudicator="lead", verdict=None, cause=Cause.ERROR)
    undone = replace(changed, id="a2", revision=2, withdrawn=True)
    other = decision("b0", pair_id="c1:y", verdict=Verdict.BOTH_BAD)
    with open_store(tmp_path) as store:
        store.append([other, changed, first])
        assert adjudications.standing(store) == {"c1:x": changed, "c1:y": other}
        store.append([undone])
        assert adjudications.standing(store) == {"c1:y": other}
        assert len(adjudications.events(store)) == 4
        store.append([undone])
        assert len(adjudications.events(store)) == 4


def test_the_first_own_view_stays(tmp_path):
    """Whoever has seen the votes is blind no more, so nothing replaces it."""
    first = view()
    later = view("v1", verdict=Verdict.FIRST, created_at=NOW + timedelta(seconds=1))
    of_another = view("v2", adjudicator="lead", created_at=NOW + timedelta(seconds=2))
    with open_store(tmp_path) as store:
        store.append([later, of_another, first])
        found = adjudications.own_views(store)
    assert found == {("c1:x", "jo"): first, ("c1:x", "lead"): of_another}


def test_discussion_notes_are_read_in_order(tmp_path):
    notes = [
        DiscussionNote(id=f"n{i}", pair_id="c1:x", author="jo", text=f"{i}", created_at=at)
        for i, at in enumerate([NOW, NOW + timedelta(minutes=1)])
    ]
    with open_store(tmp_path) as store:
        store.append(notes[::-1])
        assert adjudications.all_discussion(store) == notes


def test_what_is_no_decision_is_refused():
    with pytest.raises(ValueError, match="a skip decides nothing"):
        decision(verdict=Verdict.SKIP)
    with pytest.raises(ValueError, match="a skip is no view"):
        view(verdict=Verdict.SKIP)
    with pytest.raises(ValueError, match="strength goes with a preference"):
        view(strength=Strength.CLEAR)
