"""The agreement report of a store: of people's first votes on each pair, and of nothing else."""

import pytest
from factories import NOW, fill_store, make_judgment, open_store

from annotate.accounts import add_labeler
from annotate.agreement import agreement_report
from annotate.config import AnnotateConfig
from storage.records import LabelerKind, Presentation, Side, Verdict

F, S, T, B, SKIP = Verdict


def test_an_empty_store_has_a_report_without_numbers(tmp_path):
    report = agreement_report(open_store(tmp_path), AnnotateConfig())
    assert (report.judgments, report.pairs, report.labelers) == (0, 0, [])
    assert report.alpha_nominal.value is None


def test_the_report_leaves_tie_breaking_votes_skips_and_withdrawn_ones_out(tmp_path):
    """A third vote is asked for only where the first two differ: it would lower the agreement."""
    with open_store(tmp_path) as store, store.connected():
        pairs = fill_store(store, pairs=12, labelers=(), admin=None).pairs
        votes = [("ann", F), ("bob", S), ("cem", F)]
        rows = [
            make_judgment(pair, who, verdict, minute=minute)
            for i, pair in enumerate(pairs)
            for minute, (who, verdict) in enumerate(votes if i < 4 else votes[::2])
        ]
        store.append(rows)
        store.append([make_judgment(pairs[5], "dee", SKIP, minute=-1)])
        store.append([make_judgment(pairs[6], "dee", S, minute=-1)])
        store.append([make_judgment(pairs[6], "dee", S, minute=5, revision=1, withdrawn=True)])
        report = agreement_report(store, AnnotateConfig())
        assert report.judgments == 24
        assert report.observed_agreement.value == pytest.approx(8 / 12)
        assert {p.labeler: p.votes for p in report.labelers} == {"ann": 12, "bob": 4, "cem": 8}
        everything = agreement_report(store, AnnotateConfig(tie_breaker=False))
        assert everything.judgments == 28
        assert agreement_report(store, AnnotateConfig(), round_number=1).judgments == 0


def test_a_changed_mind_does_not_turn_a_tie_breaking_vote_into_a_first_one(tmp_path):
    with open_store(tmp_path) as store, store.connected():
        pair = fill_store(store, pairs=1, labelers=(), admin=None).pairs[0]
        for minute, (who, verdict) in enumerate([("ann", F), ("bob", S), ("cem", F)]):
            store.append([make_judgment(pair, who, verdict, minute=minute)])
        store.append([make_judgment(pair, "ann", T, minute=9, revision=1)])
        report = agreement_report(store, AnnotateConfig())
        assert [p.labeler for p in report.labelers] == ["ann", "bob"]
        store.append([make_judgment(pair, "ann", T, minute=10, revision=2, withdrawn=True)])
        store.append([make_judgment(pair, "ann", F, minute=11, revision=3)])
        report = agreement_report(store, AnnotateConfig())
        assert [p.labeler for p in report.labelers] == ["bob", "cem"]  # ann's is the third now


def test_votes_of_models_are_no_votes_of_people(tmp_path):
    """Nor do they take a person's place among the first ones."""
    with open_store(tmp_path) as store, store.connected():
        pairs = fill_store(store, pairs=1, labelers=(), admin=None).pairs
        add_labeler(store, "judge", password=None, kind=LabelerKind.MODEL)
        for minute, who in enumerate(["judge", "ann", "bob"]):
            store.append([make_judgment(pairs[0], who, F, minute=minute)])
        report = agreement_report(store, AnnotateConfig())
        assert [p.labeler for p in report.labelers] == ["ann", "bob"]


def test_a_person_who_prefers_one_side_of_the_screen_is_seen(tmp_path):
    with open_store(tmp_path) as store, store.connected():
        pairs = fill_store(store, pairs=12, labelers=(), admin=None).pairs
        for i, pair in enumerate(pairs):
            side = Side.LEFT if i % 2 else Side.RIGHT
            shown = Presentation(
                id=f"s1:{i}",
                pair_id=pair.id,
                labeler="ann",
                first_side=side,
                guideline="",
                created_at=NOW,
            )
            store.append([shown])
            verdict = F if side is Side.LEFT else S
            store.append([make_judgment(pair, "ann", verdict, presentation=shown.id)])
        (ann,) = agreement_report(store, AnnotateConfig()).labelers
        assert ann.left_share == 1.0
