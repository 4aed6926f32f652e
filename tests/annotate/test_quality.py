"""What is found out about labelers whose faults are known."""

import json
from dataclasses import asdict, replace

import pytest
from factories import (
    NOW,
    fill_store,
    make_judgment,
    make_pair,
    make_policy,
    make_response,
    open_store,
)
from quality_data import ALL, GOOD, PAIRS, found_in, votes_on

from annotate.config import AnnotateConfig
from annotate.labeler_quality import judged
from annotate.quality import quality_of
from annotate.quality_words import LEAST_WEIGHT, Finding, verdict_of, weight_of
from annotate.stats.estimate import Estimate
from annotate.stats.labelers import share_of
from storage.records import Presentation, Purpose, Side, Verdict


@pytest.fixture(scope="module")
def quality():
    return found_in(votes_on(1))


@pytest.fixture(scope="module")
def by_name(quality):
    return {q.labeler: q for q in quality.labelers}


def test_every_fault_is_found_and_nobody_else_is_accused(by_name):
    assert set(by_name) == set(ALL)
    for who in (*GOOD, "slow"):
        assert by_name[who].findings == (), who
        assert by_name[who].weight == 1
        assert by_name[who].verdict == "Votes as reliably as the others do."
    assert by_name["opposed"].findings[0] is Finding.OPPOSED
    assert Finding.UNLIKE_CROWD in by_name["opposed"].findings
    assert by_name["spammer"].findings[0] is Finding.CHANCE
    assert {Finding.CHANCE, Finding.LEFT} <= set(by_name["leftie"].findings)
    assert Finding.LONGER in by_name["longie"].findings
    for who in ("opposed", "spammer", "leftie", "longie"):
        assert LEAST_WEIGHT <= by_name[who].weight < 0.75, who
        assert f"Weigh these votes {by_name[who].weight:.2f}" in by_name[who].verdict


def test_reliability_is_near_the_truth_with_its_error(by_name):
    for who, share in (("ann", 0.85), ("slow", 0.97), ("spammer", 0.5)):
        # One vote in twenty is a tie, which is never true here.
        accuracy = by_name[who].accuracy
        assert accuracy.value == pytest.approx(0.95 * share, abs=4 * accuracy.error)
        assert 0 < accuracy.error < 0.1
    ability = {who: by_name[who].ability for who in ALL}
    assert ability["slow"].low > ability["spammer"].high
    assert ability["opposed"].high < 0
    assert ability["spammer"].low < 0 < ability["spammer"].high
    assert by_name["slow"].median_seconds == 240


def test_leanings_have_intervals_that_hold_the_truth(quality, by_name):
    side, length, formatting = quality.bias
    assert [e.name for e in quality.bias] == ["side", "length", "formatting"]
    assert by_name["leftie"].side.share > 0.8
    assert by_name["ann"].side.low < 0 < by_name["ann"].side.high
    assert length.low > 0, "longie pulls the whole project"
    assert by_name["longie"].length.share > by_name["ann"].length.share + 0.1
    assert formatting.low < 0 < formatting.high
    assert side.value > 0
    assert quality.bias_votes < quality.votes


def test_policies_are_rated_as_they_are_and_at_equal_style(quality):
    new, old = quality.ratings.policies
    assert (new.policy, old.policy) == ("round 1", "round 0")
    assert new.plain.value == pytest.approx(-old.plain.value)
    assert 0 < new.plain.low < new.plain.value < new.plain.high
    assert new.styled.value == pytest.approx(new.plain.value, abs=0.3)
    assert (new.votes, new.prompts) == (quality.votes, PAIRS // 2)
    assert quality.ratings.decided < quality.ratings.votes
    assert [e.name for e in quality.ratings.style] == ["length", "formatting"]


def test_which_answer_is_called_first_changes_nothing_but_the_last_digits(quality):
    table, answers, counts = votes_on(1)
    turn = {"first": "second", "second": "first", "left": "right", "right": "left"}
    for column in ("verdict", "first_side"):
        values = [turn.get(v, v) for v in table[column].to_pylist()]
        table = table.set_column(table.column_names.index(column), column, [values])
    names = ["pair_id", "prompt_id", "second", "first", "second_policy", "first_policy"]
    mirrored = found_in((table, answers.rename_columns(names), counts))
    for one, other in zip(quality.labelers, mirrored.labelers, strict=True):
        assert one.findings == other.findings
        assert one.right.value == pytest.approx(other.right.value, abs=1e-6)
        assert one.side.value == pytest.approx(other.side.value, abs=1e-9)
    new, mirror = quality.ratings.policies[0], mirrored.ratings.policies[0]
    assert new.styled.value == pytest.approx(mirror.styled.value, abs=1e-9)


def test_little_is_said_of_few_votes_and_nothing_of_none():
    few = found_in(votes_on(2, pairs=20))
    for one in few.labelers:
        assert one.findings[0] is Finding.TOO_FEW
        assert (one.accuracy, one.ability, one.weight) == (None, None, 1)
    assert few.typical is None
    table, answers, counts = votes_on(3, pairs=5)
    nothing = found_in((table.slice(0, 0), answers, counts))
    assert (nothing.labelers, nothing.bias, nothing.ratings.policies) == ([], (), [])


def test_a_labeler_without_known_sides_has_no_side():
    table, answers, counts = votes_on(4, pairs=60)
    sides = [
        None if who == "ann" else side
        for who, side in zip(
            table["labeler"].to_pylist(), table["first_side"].to_pylist(), strict=True
        )
    ]
    at = table.column_names.index("first_side")
    made = found_in((table.set_column(at, "first_side", [sides]), answers, counts))
    one = {q.labeler: q for q in made.labelers}
    assert one["ann"].side is None
    assert one["ann"].length is not None
    assert one["bob"].side is not None


def test_repeats_gold_and_haste_are_findings_once_they_are_sure(by_name):
    def findings(**changes):
        hasty = changes.pop("hasty", False)
        one = replace(by_name["ann"], **changes)
        return judged(one, overall=(), typical=0.8, hasty=hasty).findings

    plain = {"length": None, "formatting": None}
    assert findings(**plain) == ()
    assert findings(consistency=share_of(20, 60), **plain) == (Finding.INCONSISTENT,)
    assert findings(consistency=share_of(8, 12), **plain) == ()
    assert findings(gold=share_of(10, 40), **plain) == (Finding.FAILS_GOLD,)
    assert findings(gold=Estimate.none(3), **plain) == ()
    assert findings(hasty=True, **plain) == (Finding.HASTY,)


@pytest.mark.parametrize(
    ("high", "typical", "weight"),
    [(0.9, 0.8, 1.0), (0.7, 0.8, 0.61), (0.51, 0.8, 0.1), (0.3, 0.8, 0.1), (0.2, 0.5, 1.0)],
)
def test_weights_are_shares_of_a_typical_votes_log_odds(high, typical, weight):
    assert weight_of(high, typical=typical) == weight


def test_every_finding_has_words():
    for finding in Finding:
        assert verdict_of([finding], weight=1.0).endswith(". Nothing to change yet.")


def test_a_store_gives_the_same_as_its_tables_and_goes_to_json(tmp_path):
    with open_store(tmp_path) as store, store.connected():
        filled = fill_store(store, pairs=30)
        other = make_policy(1, parent=filled.policy)
        texts = [
            make_response(p, other, "# Better\n\n- and longer " * 9, temperature=0.7)
            for p in filled.prompts
        ]
        compared = [
            make_pair(new, old, purpose=Purpose.EVALUATION, number=1)
            for new, old in zip(texts, filled.responses[::2], strict=True)
        ]
        again = [
            make_pair(a, b, purpose=Purpose.REPEAT)
            for a, b in zip(filled.responses[:24:2], filled.responses[1:24:2], strict=True)
        ]
        store.append([other])
        store.append(texts)
        store.append([*compared, *again])
        shown = [
            Presentation(
                id=f"s1:{who}{i}", pair_id=pair.id, labeler=who, first_side=Side.LEFT,
                guideline="", created_at=NOW,
            )
            for i, pair in enumerate([*filled.pairs, *compared])
            for who in ("ann", "bob")
        ]  # fmt: skip
        store.append(shown)
        by_id = {p.id: p for p in compared}
        given = []
        for i, one in enumerate(shown):
            pair = by_id.get(one.pair_id)
            newer = (
                Verdict.FIRST if pair and pair.first in {t.id for t in texts} else Verdict.SECOND
            )
            verdict = newer if i % 5 else Verdict.TIE
            given.append(make_judgment(one.pair_id, one.labeler, verdict, presentation=one.id))
        store.append(given)
        store.append([make_judgment(p, "ann", Verdict.SECOND, minute=9) for p in again])
        quality = quality_of(store, AnnotateConfig())
    assert (quality.votes, quality.pairs) == (120, 60)
    ann = next(q for q in quality.labelers if q.labeler == "ann")
    assert (ann.shared, ann.consistency.n) == (60, 12)
    assert 0.5 < ann.consistency.value < 1
    assert ann.side is not None
    new, old = quality.ratings.policies
    assert (new.policy, old.policy) == ("round 1", "round 0")
    assert new.prompts == 30
    assert json.loads(json.dumps(asdict(quality), allow_nan=False))["votes"] == 120
