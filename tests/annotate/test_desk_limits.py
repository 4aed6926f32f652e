"""Limits and leases: who gets work now, and how long it is theirs."""

import threading

import pytest
from desks import desk_of, submit, work
from factories import fill_store

from annotate import assign, people, settings
from annotate.cards import Choice, Standing
from storage import judgments as judging
from storage import team
from storage.errors import InputError


@pytest.fixture
def filled(store):
    return fill_store(store, pairs=30, labelers=("ann", "bob"), admin="lead")


@pytest.mark.usefixtures("filled")
class TestLimits:
    """Who gets work now."""

    def test_the_daily_limit_counts_what_the_browser_has(self, store):
        desk = desk_of(store, daily_limit=5)
        work(desk, "ann", 3)
        cards = desk.cards("ann", count=4, have=())
        assert len(cards) == 2
        have = [c.presentation for c in cards]
        hand = desk.hand("ann", count=4, have=have)
        assert (hand.standing, hand.cards) == (Standing.OPEN, [])  # those two may be judged still
        for card in cards:
            receipt = submit(desk, "ann", card)
        assert (receipt.progress.today, receipt.progress.limit_left) == (5, 0)
        assert desk.hand("ann", count=4, have=()).standing is Standing.LIMIT
        assert desk.hand("bob", count=4, have=()).standing is Standing.OPEN

    def test_skips_do_not_count_to_a_limit(self, store):
        desk = desk_of(store, daily_limit=2)
        work(desk, "ann", 3, Choice.SKIP)
        assert desk.progress("ann").limit_left == 2

    def test_a_person_may_have_limits_of_their_own(self, store):
        people.change_settings(store, "ann", author="lead", total_limit=2, daily_limit=9)
        desk = desk_of(store)
        work(desk, "ann", 2)
        assert desk.hand("ann", count=1, have=()).standing is Standing.LIMIT

    def test_a_paused_person_gets_nothing_but_loses_nothing(self, store):
        desk = desk_of(store)
        (card,) = desk.cards("ann", count=1, have=())
        people.change_settings(store, "ann", author="lead", paused=True)
        desk.refresh()
        hand = desk.hand("ann", count=4, have=[card.presentation])
        assert (hand.standing, hand.cards) == (Standing.PAUSED, [])
        assert submit(desk, "ann", card).progress.judged == 1
        people.change_settings(store, "ann", author="lead", paused=False)
        desk.refresh()
        assert desk.hand("ann", count=4, have=()).standing is Standing.OPEN

    def test_assignments_reach_people_and_groups_while_they_work(self, store, filled):
        desk = desk_of(store)
        people.change_settings(store, "bob", author="lead", groups=["experts"])
        private = [p.id for p in filled.pairs[:5]]
        row = assign.assign(store, author="lead", pair_ids=private, people=["@experts"])
        desk.refresh()
        assert desk.progress("ann").left == 25
        assert desk.progress("bob").left == 30
        assign.unassign(store, row.id, author="lead")
        desk.refresh()
        assert desk.progress("ann").left == 30
        with pytest.raises(InputError, match="no labeler or group '@nobody'"):
            assign.assign(store, author="lead", people=["@nobody"])

    def test_a_lead_may_change_the_overlap_while_people_work(self, store, filled):
        desk = desk_of(store, votes_per_pair=2)
        for who in ("ann", "bob"):
            work(desk, who, 30)
        assert desk.progress("cem").settled >= 1
        before = desk.queue_states()
        settings.change(store, desk.config, {"votes_per_pair": 3}, author="lead")
        desk.refresh()
        assert desk.config.votes_per_pair == 3
        assert desk.progress("cem").left == 30
        assert desk.progress("cem").settled == 0
        settings.change(store, desk.config, {"votes_per_pair": 2}, author="lead")
        desk.refresh()
        assert desk.queue_states() == before


@pytest.mark.usefixtures("filled")
class TestHolding:
    """Leases, heartbeats, other tabs."""

    def test_what_was_judged_in_another_tab_is_gone(self, store):
        desk = desk_of(store)
        cards = desk.cards("ann", count=3, have=())
        have = [c.presentation for c in cards]
        submit(desk, "ann", cards[1])
        assert desk.heartbeat("ann", have=have).gone == [have[1]]
        assert desk.heartbeat("bob", have=have).gone == []
        assert desk.hand("ann", count=4, have=have).gone == [have[1]]

    def test_a_heartbeat_keeps_and_a_release_frees_what_a_page_holds(self, store):
        desk = desk_of(store, votes_per_pair=1)
        have = [c.presentation for c in desk.cards("ann", count=5, have=())]
        assert desk.progress("bob").left == 25
        desk.heartbeat("ann", have=have)
        desk.release("ann", have=have[:3])
        assert desk.progress("bob").left == 28
        desk.release("bob", have=have)  # not his
        assert desk.progress("bob").left == 28
        again = [c.presentation for c in desk.cards("ann", count=5, have=())]
        assert set(again) == set(have)

    def test_a_lease_is_as_long_as_the_labelers_own_pace_asks_for(self, store, monkeypatch):
        now = [1000.0]
        monkeypatch.setattr("annotate.desk.time.monotonic", lambda: now[0])
        desk = desk_of(store, votes_per_pair=1, lease_seconds=900)
        work(desk, "ann", 21, seconds=40.0)
        desk.cards("ann", count=1, have=())
        desk.cards("bob", count=1, have=())  # no pace yet: the longest lease
        now[0] += 119
        assert desk.progress("cem").left == 7
        now[0] += 2  # 3 x 40 seconds
        assert desk.progress("cem").left == 8
        now[0] += 780
        assert desk.progress("cem").left == 9

    def test_a_late_vote_is_kept_and_put_on_the_record(self, store, monkeypatch):
        now = [1000.0]
        monkeypatch.setattr("annotate.desk.time.monotonic", lambda: now[0])
        desk = desk_of(store, votes_per_pair=1)
        (late,) = desk.cards("ann", count=1, have=())
        now[0] += 901
        while (card := desk.cards("bob", count=1, have=())[0]).messages != late.messages:
            submit(desk, "bob", card)
        submit(desk, "bob", card)
        submit(desk, "ann", late)
        extra = [a for a in team.activities(store) if a.action == "extra vote"]
        assert [(a.actor,) for a in extra] == [("ann",)]
        assert desk.queue_states()["extra_votes"] == 1

    def test_a_hundred_people_at_once_never_exceed_the_overlap(self, store):
        desk = desk_of(store, votes_per_pair=2, tie_breaker=False)
        start = threading.Barrier(100)
        errors = []

        def come(i):
            who = f"labeler {i}"
            start.wait()
            try:
                for card in desk.cards(who, count=3, have=()):
                    submit(desk, who, card, Choice.LEFT)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=come, args=(i,)) for i in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        counts = {}
        for judgment in judging.judgments(store):
            counts[judgment.pair_id] = counts.get(judgment.pair_id, 0) + 1
        assert set(counts.values()) == {2}
        assert len(counts) == 30
