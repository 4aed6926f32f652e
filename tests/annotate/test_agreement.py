"""The agreement report of a store: of people's first votes on each pair, and of nothing else."""

import json
from dataclasses import asdict
from datetime import timedelta

import pyarrow as pa
import pytest
from factories import NOW, fill_store, make_judgment, open_store
from statistics_data import random_votes

from annotate.accounts import add_labeler
from annotate.agreement import MATRIX_LABELERS, agreement_report, report_of
from annotate.config import AnnotateConfig
from annotate.stats.coefficients import agreement_of
from annotate.stats.sizes import implied_accuracy
from annotate.stats.votes import VERDICTS
from storage.records import IMPORTED_VOTES, LabelerKind, Presentation, Side, Strength, Verdict

F, S, T, B, SKIP = Verdict
STRENGTHS = (None, Strength.SLIGHT, Strength.CLEAR, Strength.STRONG)


def table_of(rows, **same):
    """A votes table of (pair, labeler, verdict, degree), one vote a minute."""
    values = {
        "seconds": 5.0,
        "strategy": "random",
        "first_side": Side.LEFT.value,
        **same,
    }
    columns = {
        "pair_id": pa.array([f"c1:{p}" for p, *_ in rows], type=pa.string()),
        "labeler": pa.array([str(who) for _, who, *_ in rows], type=pa.string()),
        "verdict": pa.array([v.value for *_, v, _ in rows], type=pa.string()),
        "strength": pa.array([STRENGTHS[d] for *_, d in rows], type=pa.string()),
        "created_at": pa.array(
            [NOW + timedelta(minutes=i) for i in range(len(rows))], type=pa.timestamp("us")
        ),
    }
    for name, value in values.items():
        kind = pa.float64() if name == "seconds" else pa.string()
        columns[name] = pa.array([value] * len(rows), type=kind)
    return pa.table(columns)


def rows_of(votes):
    """Rows of arrays of votes, all strengths said."""
    return [
        (p, f"{who:03}", VERDICTS[v], abs(level))
        for p, who, v, level in zip(
            votes.pair_N, votes.labeler_N, votes.verdict_N, votes.level_N, strict=True
        )
    ]


def test_every_figure_is_that_of_the_statistics_whatever_the_rows_order():
    votes = random_votes(3, pairs=80)
    rows = rows_of(votes)
    expected = agreement_of(votes)
    for turned in (rows, rows[::-1]):
        report = report_of(table_of(turned))
        for name in (
            "observed_agreement",
            "observed_agreement_without_ties",
            "alpha_nominal",
            "alpha_ordinal",
            "fleiss_kappa",
            "gwet_ac1",
        ):
            found, known = getattr(report, name), getattr(expected, name)
            assert (found.value, found.n) == (pytest.approx(known.value, abs=1e-12), known.n)
            assert found.low < found.value < found.high
        assert (report.judgments, report.pairs) == (expected.judgments, expected.pairs)
        assert report.both_bad == expected.both_bad
        one_vote = implied_accuracy(expected.observed_agreement_without_ties.value)
        assert report.flip_rate.value == pytest.approx(1 - one_vote)
        assert [p.labeler for p in report.labelers] == [f"{i:03}" for i in range(7)]


def test_each_person_is_counted_against_the_others():
    votes = [[F, F, None], [F, S, None], [T, None, T], [S, None, None]]
    rows = [
        (p, who, v, 0)
        for p, said in enumerate(votes)
        for who, v in zip(("ann", "bob", "cem"), said, strict=True)
        if v
    ]
    report = report_of(table_of(rows))
    assert (report.judgments, report.pairs) == (7, 4)
    ann, bob, cem = report.labelers
    assert (ann.votes, ann.vote_pairs, ann.agreement) == (4, 3, pytest.approx(2 / 3))
    assert (bob.votes, bob.vote_pairs, bob.agreement) == (2, 2, 0.5)
    assert (cem.votes, cem.vote_pairs, cem.agreement) == (1, 1, 1.0)
    assert (ann.left_share, cem.left_share) == (pytest.approx(2 / 3), None)
    assert (ann.against_rest.value, ann.against_rest.n) == (None, 3)
    assert report.observed_agreement.value is None
    assert report.matrix.shared == [[0, 2, 1], [2, 0, 0], [1, 0, 0]]
    assert report.matrix.agreement == [[None] * 3] * 3


def test_whoever_votes_against_the_crowd_is_told_from_the_others():
    rows = []
    for p in range(60):
        right = (F, S)[p % 2]
        wrong = right.swapped()
        said = dict.fromkeys(["ann", "bob", "cem", "dee", "eve", "fay"], right) | {"dee": wrong}
        if p % 10 == 0:
            said["bob"] = wrong
        rows += [(p, who, v, 2) for who, v in said.items()]
    report = report_of(table_of(rows))
    alarms = {p.labeler: p.crowd_alarm_at for p in report.labelers}
    assert {who for who, at in alarms.items() if at is not None} == {"dee"}
    dee = report.labelers[3]
    assert dee.crowd_votes == 60
    assert dee.crowd_evidence > 100
    assert dee.against_rest.high < min(p.against_rest.low for p in report.labelers if p is not dee)
    matrix = report.matrix
    assert matrix.agreement[0][3] == matrix.agreement[3][0] == 0.0
    assert matrix.agreement[0][1] == pytest.approx(0.9)


def test_imported_votes_without_time_or_sides_have_none():
    rows = [(p, "ann", F, 0) for p in range(12)]
    (ann,) = report_of(
        table_of(rows, strategy=IMPORTED_VOTES, seconds=0.0, first_side=None)
    ).labelers
    assert (ann.median_seconds, ann.left_share) == (None, None)
    (ann,) = report_of(table_of(rows, strategy=IMPORTED_VOTES)).labelers
    assert (ann.median_seconds, ann.left_share) == (5.0, 1.0)


def test_the_report_is_json_and_its_matrix_bounded():
    """JSON knows no nan. Beyond the bound those with the most votes stay."""
    many = MATRIX_LABELERS + 3
    rows = [(p, f"{who:03}", F, 0) for p in range(11) for who in range(many) if who > 1 or p < 5]
    report = report_of(table_of(rows))
    text = json.dumps(asdict(report), allow_nan=False)
    matrix = json.loads(text)["matrix"]
    assert len(report.labelers) == many
    assert len(matrix["labelers"]) == len(matrix["kappa"]) == MATRIX_LABELERS
    assert not {"000", "001"} & set(matrix["labelers"])
    assert matrix["agreement"][0][:2] == [None, 1.0]
    assert matrix["kappa"][0][1] is None


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
