"""Own history and faults: what one person may say again, and what is never lost."""

import threading
from uuid import uuid4

import pytest
from desks import PLAIN, desk_of, submit, work
from factories import fill_store

from annotate.cards import Answer, Choice
from annotate.config import AnnotateConfig, Question
from annotate.desk import Desk
from annotate.person import Person
from storage import judgments as judging
from storage import pairs as pairing
from storage.errors import ConflictError, InputError, StoreError
from storage.pairs import consensus_by_pair
from storage.records import Judgment, Pair, Purpose, Side, Strength, Verdict


@pytest.fixture
def filled(store):
    return fill_store(store, pairs=30, labelers=("ann", "bob"), admin="lead")


@pytest.mark.usefixtures("filled")
class TestSaying:
    """What a judgment may hold, and going back to it."""

    def test_further_answers_are_stored_in_the_order_of_the_pair(self, store):
        questions = (Question(name="correct", question="Which is more correct?"),)
        desk = desk_of(store, criteria=questions, ask_acceptable=True, allow_edit=True)
        for answer in (Answer.LEFT, Answer.RIGHT, Answer.SAME) * 4:
            (card,) = desk.cards("ann", count=1, have=())
            submit(
                desk,
                "ann",
                card,
                criteria={"correct": answer},
                acceptable=False,
                edited_text="Better still",
                strength=Strength.SLIGHT,
            )
            row = judging.judgments(store)[-1]
            (shown,) = [
                s for s in judging.presentations_of(store, "ann") if s.id == card.presentation
            ]
            on_left = {Side.LEFT: "first", Side.RIGHT: "second"}[shown.first_side]
            on_right = {Side.LEFT: "second", Side.RIGHT: "first"}[shown.first_side]
            expected = {"left": on_left, "right": on_right, "same": "same"}[answer.value]
            assert row.criteria == {"correct": expected, "acceptable": "no"}
            assert row.edited_text == "Better still"
            assert row.verdict.value == on_left
            card_again, judgment, how = desk.reopen("ann", card.presentation)
            assert (card_again, judgment, how) == (card, row, shown)

    def test_a_skip_has_a_reason_and_a_judgment_its_guideline(self, store):
        desk = desk_of(store)
        (card,) = desk.cards("ann", count=1, have=())
        submit(desk, "ann", card, Choice.SKIP, skip_reason="I don't know", guideline="g1:x")
        (row,) = judging.judgments(store)
        assert (row.verdict, row.criteria) == (Verdict.SKIP, {"skip_reason": "I don't know"})
        assert row.guideline == "g1:x"

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"criteria": {"kind": Answer.LEFT}}, "no question 'kind'"),
            ({"edited_text": "x"}, "allows edits"),
            ({"skip_reason": "x"}, "goes with a skip"),
            ({"guideline": "\ud800"}, "half of a surrogate pair"),
        ],
    )
    def test_what_is_not_asked_for_is_refused(self, store, changes, says):
        desk = desk_of(store)
        (card,) = desk.cards("ann", count=1, have=())
        with pytest.raises(InputError, match=says):
            submit(desk, "ann", card, **changes)
        assert judging.judgment_events(store) == []

    def test_own_history_is_paged_newest_first_and_may_be_changed(self, store):
        desk = desk_of(store)
        cards = work(desk, "ann", 7)
        work(desk, "bob", 2)
        pages, before = [], None
        while page := desk.history("ann", count=3, before=before):
            pages += page
            before = page[-1][0].id
        assert [s.id for _, s, _ in pages] == [c.presentation for c in reversed(cards)]
        assert [p for _, _, p in pages] == [c.messages[-1].content for c in reversed(cards)]
        submit(desk, "ann", cards[2], Choice.TIE)
        newest = desk.history("ann", count=1)[0]
        assert (newest[1].id, newest[0].verdict) == (cards[2].presentation, Verdict.TIE)
        assert desk.progress("ann").judged == 7
        with pytest.raises(ConflictError, match="not shown to you"):
            desk.reopen("bob", cards[0].presentation)

    def test_own_agreement_is_shown_where_the_lead_allows_it_and_there_is_enough(self, store):
        desk = desk_of(store, show_own_agreement=True)
        work(desk, "ann", 12, Choice.TIE)
        assert desk.progress("ann").agreement.value is None
        for card in desk.cards("bob", count=12, have=()):
            submit(desk, "bob", card, Choice.TIE)
        again = Desk(store, desk.config)
        assert again.progress("ann").agreement == again.progress("bob").agreement
        assert again.progress("ann").agreement.value == 1.0
        assert desk_of(store).progress("ann").agreement is None

    def test_time_left_is_the_own_median_for_what_is_left(self, store):
        desk = desk_of(store)
        assert desk.progress("ann").seconds_left is None
        for seconds in (2.0, 4.0, 30.0):
            work(desk, "ann", 1, seconds=seconds)
        progress = desk.progress("ann")
        assert progress.seconds_left == 4.0 * progress.left == 4.0 * 27


class _Failing:
    """A store whose appends of one kind of record fail as often as is wished."""

    def __init__(self, store, failures, kind=Judgment):
        self._store, self.failures, self._kind = store, failures, kind
        self.refused = []

    def append(self, rows):
        if rows and isinstance(rows[0], self._kind) and self.failures:
            self.failures -= 1
            self.refused += rows
            raise StoreError("the disk is full")
        self._store.append(rows)

    def __getattr__(self, name):
        return getattr(self._store, name)


@pytest.mark.usefixtures("filled")
class TestFaults:
    """A judgment is acknowledged only when it is stored."""

    def test_what_could_not_be_stored_was_never_said(self, store):
        failing = _Failing(store, 0)
        desk = Desk(failing, AnnotateConfig(**PLAIN))
        (card,) = desk.cards("ann", count=1, have=())
        before = desk.progress("ann")
        failing.failures = 1
        with pytest.raises(StoreError, match="disk is full"):
            submit(desk, "ann", card, key="the-same-key")
        assert desk.progress("ann") == before
        assert submit(desk, "ann", card, key="the-same-key").progress.judged == 1
        assert len(judging.judgment_events(store)) == 1
        failing.failures = 1
        with pytest.raises(StoreError):
            desk.undo("ann", key=uuid4().hex)
        assert desk.progress("ann").judged == 1
        assert desk.undo("ann", key=uuid4().hex) == card

    def test_a_repeat_that_could_not_be_stored_is_stored_when_it_is_shown_next(self, store):
        failing = _Failing(store, 1, kind=Pair)
        desk = Desk(failing, AnnotateConfig(**PLAIN | {"repeat_share": 0.5}))
        while not failing.refused:
            try:
                work(desk, "ann", 1)
            except StoreError as error:
                assert "disk is full" in str(error)  # noqa: PT017 - only one of many may fail
        (repeat,) = failing.refused
        assert repeat.purpose is Purpose.REPEAT
        before = {shown.pair_id for shown in judging.presentations_of(store, "ann")}
        assert repeat.id not in before
        assert repeat not in pairing.pairs(store)
        (card,) = desk.cards("ann", count=1, have=())
        assert judging.presentation(store, card.presentation).pair_id == repeat.id
        assert repeat in pairing.pairs(store)
        assert submit(desk, "ann", card).progress.judged == len(before) + 1

    def test_one_row_that_fails_does_not_cost_the_others_theirs(self, store):
        """They share a commit; the one is tried again by itself."""
        failing = _Failing(store, 1)
        desk = Desk(failing, AnnotateConfig(**PLAIN))
        cards = {f"l{i}": desk.cards(f"l{i}", count=1, have=())[0] for i in range(8)}
        results = {}
        start = threading.Barrier(8)

        def come(who):
            start.wait()
            try:
                submit(desk, who, cards[who])
                results[who] = "stored"
            except StoreError:
                results[who] = "refused"

        threads = [threading.Thread(target=come, args=(who,)) for who in cards]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stored = {j.labeler for j in judging.judgments(store)}
        assert stored == {who for who, result in results.items() if result == "stored"}
        assert len(stored) >= 7
        for pair in consensus_by_pair(store).values():
            assert pair.votes <= 2

    def test_the_same_key_at_the_same_time_is_stored_once_and_both_are_told(self, store):
        desk = desk_of(store)
        (card,) = desk.cards("ann", count=1, have=())
        start, answers = threading.Barrier(12), []

        def come():
            start.wait()
            answers.append(submit(desk, "ann", card, key="one-key-for-all").progress.judged)

        threads = [threading.Thread(target=come) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [1] * 12
        assert len(judging.judgment_events(store)) == 1


def test_a_person_counts_today_from_midnight():
    from dataclasses import replace
    from datetime import datetime

    from factories import make_judgment

    person = Person("ann")
    for i, day in enumerate((1, 2, 2)):
        row = make_judgment(f"c1:{i}", "ann", Verdict.TIE)
        person.mine[row.pair_id] = replace(row, created_at=datetime(2026, 5, day, 12))
    assert person.judged_today(datetime(2026, 5, 2, 23)) == 2
    assert person.judged_today(datetime(2026, 5, 3, 1)) == 0
