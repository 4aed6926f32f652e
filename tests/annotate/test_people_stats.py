"""Everybody's numbers, against examples counted by hand."""

from datetime import timedelta

import pytest
from factories import (
    NOW,
    fill_store,
    make_judgment,
    make_pair,
    make_policy,
    make_prompt,
    make_response,
    open_store,
)

from annotate.accounts import add_labeler
from annotate.agreement import agreement_report
from annotate.config import AnnotateConfig
from annotate.consensus import in_overlap
from annotate.people_stats import pace, people_rows
from storage.records import (
    LabelerKind,
    Presentation,
    Purpose,
    Side,
    Verdict,
)
from storage.store import utc_now
from storage.team_records import Gold, GoldUse, LabelerSettings

FIRST, SECOND, TIE, SKIP = Verdict.FIRST, Verdict.SECOND, Verdict.TIE, Verdict.SKIP


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path) as made, made.connected():
        yield made


def row_of(store, name, **config):
    return next(r for r in people_rows(store, AnnotateConfig(**config)) if r.name == name)


def shown(pair, labeler, side):
    return Presentation(
        id=f"s1:{pair.id}/{labeler}",
        pair_id=pair.id,
        labeler=labeler,
        first_side=side,
        guideline="",
        created_at=NOW,
    )


def gold(pair, verdict, *, use=GoldUse.HIDDEN, active=True, revision=0):
    return Gold(
        pair_id=pair.id,
        revision=revision,
        use=use,
        verdict=verdict,
        explanation="",
        source="by hand",
        active=active,
        author="lead",
        created_at=NOW,
    )


def test_who_judged_nothing_has_no_shares(store):
    fill_store(store)
    ann = row_of(store, "ann")
    assert (ann.judged, ann.today, ann.gold_total, ann.repeat_total) == (0, 0, 0, 0)
    assert ann.median_seconds is ann.too_fast is ann.agreement is ann.left_share is None
    assert ann.last_at is None
    assert not ann.side_biased
    assert not ann.hasty


def test_work_is_counted_without_skips_and_undone_votes(store):
    pairs = fill_store(store).pairs
    store.append(
        [
            make_judgment(pairs[0], "ann", FIRST, seconds=4, minute=1),
            make_judgment(pairs[1], "ann", TIE, seconds=10, minute=2),
            make_judgment(pairs[2], "ann", SKIP, seconds=99, minute=3),
            make_judgment(pairs[3], "ann", FIRST, seconds=50, minute=4),
            make_judgment(pairs[3], "ann", FIRST, revision=1, withdrawn=True, minute=5),
            make_judgment(pairs[0], "ann", SECOND, revision=1, seconds=6, minute=6),
        ]
    )
    ann = row_of(store, "ann")
    assert (ann.judged, ann.skipped, ann.today, ann.timed) == (2, 1, 0, 2)
    assert ann.median_seconds == 8.0
    assert ann.last_at == NOW + timedelta(minutes=6)


def test_too_fast_is_quick_and_long_together(store):
    """Under 3 seconds alone is no fault: two short answers are read in a glance."""
    policy = make_policy()
    prompts = [make_prompt(f"q{i}") for i in range(4)]
    texts = [
        ("a" * 150, "b" * 151),
        ("a" * 150, "b" * 50),
        ("a" * 150, "b" * 151),
        ("a", "b" * 999),
    ]
    responses = [
        make_response(prompt, policy, text, index=i)
        for prompt, both in zip(prompts, texts, strict=True)
        for i, text in enumerate(both)
    ]
    pairs = [make_pair(responses[2 * i], responses[2 * i + 1]) for i in range(4)]
    fill_store(store, pairs=1)
    for rows in (prompts, responses, pairs):
        store.append(rows)
    seconds = [2.9, 2.9, 3.0, 1.0]  # 301 chars: too fast; 200: no; 3.0 s: no; 1000: too fast
    store.append(
        [make_judgment(p, "ann", FIRST, seconds=s) for p, s in zip(pairs, seconds, strict=True)]
    )
    ann = row_of(store, "ann")
    assert ann.too_fast == 2 / 4
    assert not ann.hasty  # four votes say little


def test_agreement_is_what_the_report_says_and_models_are_compared_with_people(store):
    pairs = fill_store(store, labelers=("ann", "bob", "cid")).pairs
    add_labeler(store, "judge", password=None, kind=LabelerKind.MODEL)
    votes = [
        ("ann", [FIRST, FIRST, SECOND, TIE]),
        ("bob", [FIRST, SECOND, SECOND, FIRST]),
        ("cid", [None, FIRST, None, FIRST]),  # the tie-breakers
        ("judge", [FIRST, FIRST, FIRST, FIRST]),
    ]
    for minute, (name, verdicts) in enumerate(votes):
        store.append(
            [
                make_judgment(p, name, v, minute=minute)
                for p, v in zip(pairs, verdicts, strict=False)
                if v
            ]
        )
    assert (row_of(store, "ann").agreement, row_of(store, "ann").vote_pairs) == (2 / 4, 4)
    assert (row_of(store, "cid").agreement, row_of(store, "cid").vote_pairs) == (None, 0)
    # 2 of 2, 1 of 2, 0 of 2, 1 of 2
    assert (row_of(store, "judge").agreement, row_of(store, "judge").vote_pairs) == (4 / 8, 8)
    free = {"tie_breaker": False}
    assert (row_of(store, "ann", **free).agreement, row_of(store, "ann", **free).vote_pairs) == (
        3 / 6,
        6,
    )
    for changes in ({}, free, {"overlap_share": 0.5}, {"stop_at": 0.9}, {"votes_per_pair": 3}):
        config = AnnotateConfig(**changes)
        rows = {r.name: r for r in people_rows(store, config)}
        for measured in agreement_report(store, config).labelers:
            mine = rows[measured.labeler]
            assert (mine.agreement, mine.vote_pairs) == (measured.agreement, measured.vote_pairs)


def test_the_database_draws_the_same_overlap(store):
    pairs = fill_store(store, pairs=40).pairs
    store.append([make_judgment(p, n, FIRST) for p in pairs for n in ("ann", "bob")])
    inside = sum(in_overlap(p.id, share=0.4) for p in pairs)
    assert 0 < inside < 40
    assert row_of(store, "ann", overlap_share=0.4).vote_pairs == inside


def test_side_bias_is_flagged_when_its_interval_leaves_out_one_half(store):
    pairs = fill_store(store, pairs=20).pairs
    for name, lefts in (("ann", 10), ("bob", 16)):
        sides = [Side.LEFT if i % 2 else Side.RIGHT for i in range(20)]
        rows = [shown(p, name, s) for p, s in zip(pairs, sides, strict=True)]
        store.append(rows)
        judged = []
        for i, (pair, side) in enumerate(zip(pairs, sides, strict=True)):
            left = i < lefts
            verdict = FIRST if (side is Side.LEFT) == left else SECOND
            judged.append(make_judgment(pair, name, verdict, presentation=rows[i].id))
        store.append(judged)
    ann, bob = row_of(store, "ann"), row_of(store, "bob")
    assert (ann.left_share, ann.side_biased) == (0.5, False)
    assert (bob.left_share, bob.sided, bob.side_biased) == (0.8, 20, True)
    assert (bob.left_low, bob.left_high) == pytest.approx((0.5840, 0.9193), abs=1e-4)


def test_hidden_gold_counts_until_it_is_retired_and_qualification_stands_apart(store):
    filled = fill_store(store)
    pairs = []
    for i in range(5):
        first, second = filled.responses[2 * i : 2 * i + 2]
        pairs.append(make_pair(first, second, purpose=Purpose.GOLD))
    store.append(pairs)
    store.append(
        [
            gold(pairs[0], FIRST),
            gold(pairs[1], FIRST),
            gold(pairs[2], TIE, use=GoldUse.QUALIFICATION),
            gold(pairs[3], FIRST, use=GoldUse.SENTINEL),
            gold(pairs[4], FIRST),
            gold(pairs[4], FIRST, active=False, revision=1),
        ]
    )
    verdicts = [FIRST, SECOND, TIE, SECOND, SECOND]
    store.append([make_judgment(p, "ann", v) for p, v in zip(pairs, verdicts, strict=True)])
    ann = row_of(store, "ann")
    assert (ann.gold_right, ann.gold_total) == (1, 2)
    assert (ann.qualification_right, ann.qualification_total) == (1, 1)
    assert ann.vote_pairs == 0


def test_repeats_compare_somebody_with_themselves(store):
    filled = fill_store(store, pairs=3)
    again = []
    for i in range(3):
        first, second = filled.responses[2 * i : 2 * i + 2]
        again.append(make_pair(first, second, purpose=Purpose.REPEAT))
    store.append(again)
    store.append(
        [
            make_judgment(filled.pairs[0], "ann", FIRST),
            make_judgment(again[0], "ann", FIRST),
            make_judgment(filled.pairs[1], "ann", FIRST),
            make_judgment(again[1], "ann", TIE),
            make_judgment(filled.pairs[2], "bob", FIRST),
            make_judgment(again[2], "ann", FIRST),  # ann never saw the first showing
        ]
    )
    ann = row_of(store, "ann")
    assert (ann.repeat_same, ann.repeat_total) == (1, 2)
    assert row_of(store, "bob").repeat_total == 0


def test_what_a_lead_set_stands_beside_the_numbers(store):
    fill_store(store)
    store.append(
        [
            LabelerSettings(
                name="ann",
                revision=0,
                groups=("medics",),
                daily_limit=5,
                total_limit=None,
                paused=True,
                qualified=True,
                author="lead",
                created_at=NOW,
            )
        ]
    )
    ann = row_of(store, "ann")
    assert (ann.paused, ann.qualified, ann.groups) == (True, True, ("medics",))
    assert (ann.daily_limit, ann.total_limit) == (5, None)


def test_pace_has_one_number_a_day_and_today_last(store):
    pairs = fill_store(store).pairs
    minutes = (utc_now() - NOW).total_seconds() / 60
    store.append(
        [
            make_judgment(pairs[0], "ann", FIRST, minute=minutes),
            make_judgment(pairs[1], "ann", FIRST, minute=minutes),
            make_judgment(pairs[2], "ann", FIRST, minute=minutes - 24 * 60),
            make_judgment(pairs[3], "ann", FIRST, minute=minutes - 60 * 24 * 60),
        ]
    )
    assert pace(store) == {"ann": [0] * 12 + [1, 2]}
    assert row_of(store, "ann").today == 2
