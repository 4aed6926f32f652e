"""Gold, sentinels, hidden repeats and the qualification round: what is slipped in, and blindly."""

from uuid import uuid4

import pytest
from desks import desk_of, submit, work
from factories import fill_store, open_store

from annotate import gold as golden
from annotate import people
from annotate.cards import Choice, Standing, to_verdict
from annotate.gold import drift_of
from storage import judgments as judging
from storage import team
from storage.errors import ConflictError, InputError
from storage.pairs import consensus_by_pair, pairs
from storage.records import Purpose, Side, Verdict
from storage.summaries import round_summaries
from storage.team_records import GoldUse

PLAIN = {"gold_share": 0, "repeat_share": 0, "sentinel_share": 0, "votes_per_pair": 1}


@pytest.fixture
def filled(store):
    return fill_store(store, pairs=60, labelers=("ann", "bob"), admin="lead")


def shown_pairs(store, who):
    by_id = {p.id: p for p in pairs(store)}
    return [by_id[s.pair_id] for s in judging.presentations_of(store, who)]


def make_gold(store, filled, count, use=GoldUse.HIDDEN, verdict=Verdict.FIRST):
    for pair in filled.pairs[:count]:
        golden.make_gold(store, pair.id, verdict=verdict, use=use, author="lead")


def test_gold_comes_in_its_share_and_looks_like_any_other_pair(store, filled):
    make_gold(store, filled, 20)
    desk = desk_of(store, gold_share=0.3)
    cards = work(desk, "ann", 40)
    gold = [p for p in shown_pairs(store, "ann") if p.purpose is Purpose.GOLD]
    assert 5 <= len(gold) <= 20
    assert not any(c.qualification for c in cards)
    assert len({(c.left, c.right) for c in cards} | {(c.right, c.left) for c in cards}) == 80
    assert desk.queue_states()["gold"] == 20


def test_gold_is_graded_and_is_no_vote(store, filled):
    make_gold(store, filled, 20)
    desk = desk_of(store, gold_share=1.0)
    work(desk, "ann", 12)
    gold = {g.pair_id for g in team.gold_by_pair(store).values()}
    right = sum(j.verdict is Verdict.FIRST for j in judging.judgments(store) if j.pair_id in gold)
    results = golden.gold_results(store)
    assert results.by_labeler["ann"] == golden.Score(right=right, total=12)
    assert round_summaries(store)[0].votes == 0
    assert consensus_by_pair(store) == {}


def test_a_gold_pair_and_the_pair_it_was_made_from_are_never_both_shown(store, filled):
    make_gold(store, filled, 60)
    desk = desk_of(store, gold_share=0.5)
    work(desk, "ann", 60)
    shown = shown_pairs(store, "ann")
    assert len({(p.first, p.second) for p in shown}) == len(shown) == 60
    assert desk.hand("ann", count=1, have=()).standing is Standing.EMPTY


def test_retired_gold_is_shown_to_nobody(store, filled):
    make_gold(store, filled, 3)
    for pair_id in team.gold_by_pair(store):
        golden.retire_gold(store, pair_id, author="lead")
    desk = desk_of(store, gold_share=1.0)
    work(desk, "ann", 30)
    assert {p.purpose for p in shown_pairs(store, "ann")} == {Purpose.TRAIN}
    with pytest.raises(InputError, match="no active gold"):
        golden.retire_gold(store, next(iter(team.gold_by_pair(store))), author="lead")


def test_unanimous_pairs_become_gold_once(store, filled):
    desk = desk_of(store, votes_per_pair=3)
    for who in ("ann", "bob", "cem"):
        for card in desk.cards(who, count=60, have=()):
            shown = next(
                s for s in judging.presentations_of(store, who) if s.id == card.presentation
            )
            agreed = shown.pair_id < "c1:8" or who != "cem"
            left = (shown.first_side is Side.LEFT) == agreed
            submit(desk, who, card, Choice.LEFT if left else Choice.RIGHT)
    made = golden.promote_unanimous(store, author="lead")
    expected = {p.id for p in filled.pairs if p.id < "c1:8"}
    originals = {(p.first, p.second): p.id for p in filled.pairs}
    by_id = {p.id: p for p in pairs(store)}
    assert {originals[by_id[g.pair_id].first, by_id[g.pair_id].second] for g in made} == expected
    assert {(g.verdict, g.source) for g in made} == {(Verdict.FIRST, "unanimous")}
    assert golden.promote_unanimous(store, author="lead") == []


def test_repeats_are_own_pairs_of_some_time_ago_with_the_sides_swapped(store, filled):
    desk = desk_of(store, repeat_share=0.5)
    cards = work(desk, "ann", 50)
    shown = shown_pairs(store, "ann")
    repeats = [i for i, p in enumerate(shown) if p.purpose is Purpose.REPEAT]
    assert len(repeats) >= 8
    where = {(p.first, p.second): i for i, p in enumerate(shown) if p.purpose is Purpose.TRAIN}
    for i in repeats:
        before = where[shown[i].first, shown[i].second]
        assert i - before >= 20
        assert (cards[i].left, cards[i].right) == (cards[before].right, cards[before].left)
    assert len({shown[i].id for i in repeats}) == len(repeats)
    results = golden.gold_results(store)
    # Left both times, the sides swapped: never the same answer.
    assert results.repeats["ann"] == golden.Score(right=0, total=len(repeats))
    assert round_summaries(store)[0].votes == 50 - len(repeats)


def test_a_restart_draws_on_as_if_nothing_had_happened(tmp_path):
    def run(folder, restarts):
        folder.mkdir()
        with open_store(folder, hold=True) as store:
            filled = fill_store(store, pairs=60)
            make_gold(store, filled, 20)
            desk = desk_of(store, gold_share=0.2, repeat_share=0.2)
            for i in range(45):
                if i in restarts:
                    desk = desk_of(store, gold_share=0.2, repeat_share=0.2)
                work(desk, "ann", 1)
            return [(s.pair_id, s.first_side) for s in judging.presentations_of(store, "ann")]

    assert run(tmp_path / "one", ()) == run(tmp_path / "two", (1, 7, 30))


def test_sides_are_balanced_for_everybody(store, filled):
    desk = desk_of(store)
    work(desk, "ann", 40)
    sides = [s.first_side for s in judging.presentations_of(store, "ann")]
    assert sides.count(Side.LEFT) == 20


def test_the_qualification_round_comes_first_with_feedback(store, filled):
    make_gold(store, filled, 4, use=GoldUse.QUALIFICATION)
    desk = desk_of(store, qualification_pass=0.75)
    hand = desk.hand("ann", count=9, have=())
    assert (hand.standing, len(hand.cards)) == (Standing.QUALIFYING, 4)
    assert all(c.qualification for c in hand.cards)
    for i, card in enumerate(hand.cards):
        shown = next(s for s in judging.presentations_of(store, "ann") if s.id == card.presentation)
        right = next(c for c in Choice if to_verdict(c, shown.first_side) is Verdict.FIRST)
        feedback = submit(desk, "ann", card, right if i else Choice.TIE).feedback
        assert (feedback.right, feedback.expected) == (i > 0, right)
    hand = desk.hand("ann", count=9, have=())
    assert hand.standing is Standing.OPEN
    assert len(hand.cards) == 9
    assert not any(c.qualification for c in hand.cards)
    assert submit(desk, "ann", hand.cards[0]).feedback is None
    assert golden.gold_results(store).qualification["ann"] == golden.Score(right=3, total=4)


def test_who_fails_the_qualification_gets_nothing_until_a_lead_lets_them_in(store, filled):
    make_gold(store, filled, 2, use=GoldUse.QUALIFICATION)
    desk = desk_of(store)
    for card in desk.cards("ann", count=9, have=()):
        submit(desk, "ann", card, Choice.TIE)
    assert desk.hand("ann", count=1, have=()) == desk.hand("ann", count=3, have=())
    assert desk.hand("ann", count=1, have=()).standing is Standing.NOT_QUALIFIED
    people.change_settings(store, "ann", author="lead", qualified=True)
    desk.refresh()
    assert desk.hand("ann", count=1, have=()).standing is Standing.OPEN


def test_a_qualification_pair_is_judged_once(store, filled):
    """Its answer has been shown: no second try, no undo."""
    make_gold(store, filled, 2, use=GoldUse.QUALIFICATION)
    desk = desk_of(store)
    (card,) = desk.cards("ann", count=1, have=())
    submit(desk, "ann", card, Choice.TIE)
    with pytest.raises(ConflictError, match="judged once"):
        submit(desk, "ann", card, Choice.LEFT)
    with pytest.raises(ConflictError, match="judged once"):
        desk.undo("ann", key=uuid4().hex)


def test_who_worked_before_the_qualification_round_goes_on(store, filled):
    desk = desk_of(store)
    work(desk, "ann", 1)
    make_gold(store, filled, 2, use=GoldUse.QUALIFICATION)
    desk.refresh()
    assert desk.hand("ann", count=1, have=()).standing is Standing.OPEN
    assert desk.hand("bob", count=1, have=()).standing is Standing.QUALIFYING


def test_sentinels_are_shown_and_tell_a_drift_of_taste(store, filled):
    make_gold(store, filled, 30, use=GoldUse.SENTINEL)
    desk = desk_of(store, sentinel_share=1.0)
    work(desk, "ann", 20)
    assert {p.purpose for p in shown_pairs(store, "ann")} == {Purpose.GOLD}
    assert golden.gold_results(store).drift is None  # too few
    steady, moved = [True, False] * 40, [True, False] * 20 + [True] * 40
    assert not drift_of(steady).drifted
    assert drift_of(moved).drifted
