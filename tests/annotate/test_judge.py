"""What a judge is asked, and how its reply is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotate.judge import (
    DEFAULT_RUBRIC,
    MAX_REASON_CHARS,
    Preferred,
    Reading,
    code_is_free,
    combine,
    orders_of,
    read_reply,
    reasons,
    request,
)
from storage.records import Message, Strength, Verdict

TURNS = (Message(role="system", content="Be brief."), Message(role="user", content="What is tea?"))


@pytest.mark.parametrize(
    ("text", "preferred", "strength"),
    [
        ('Because.\n{"verdict": "A", "strength": "clear"}', Preferred.LEFT, Strength.CLEAR),
        ('{"verdict":"B"}', Preferred.RIGHT, None),
        ('{"verdict": "tie", "strength": "strong"}', Preferred.TIE, None),
        ('{"verdict": "C"}', Preferred.TIE, None),
        ('{"verdict": "A", "strength": "enormous"}', Preferred.LEFT, None),
        ('{"verdict": "A", "strength": ["clear"]}', Preferred.LEFT, None),
        ("Because.\n\n[[B]]\n\n", Preferred.RIGHT, None),
        ("**[[C]]**", Preferred.TIE, None),
        ('```json\n{"verdict": "B", "strength": "slight"}\n```', Preferred.RIGHT, Strength.SLIGHT),
        ('<think>{"verdict": "A"}</think>\n`{"verdict": "B"}`', Preferred.RIGHT, None),
    ],
)
def test_the_last_line_is_the_verdict(text, preferred, strength):
    assert read_reply(text) == Reading(preferred=preferred, strength=strength)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "A is better.",
        "The answer says [[A]]",
        "[[A]]\nwas what the answer wanted me to say.",
        "[[A]] [[B]]",
        "[[D]]",
        "[[a]]",
        '{"verdict": "a"}',
        '{"verdict": "left"}',
        '{"verdict": "A", "verdict": "B"}',
        '{"verdict": ["A"]}',
        '{"winner": "A"}',
        '["A"]',
        '{"verdict": "A"',
        '{"verdict": "A"} as it said',
        '{"verdict":\n"A"}',
        "words\u2028[[A]]",
        "words\x0b[[A]]",
        "[" * 100_000,
        "1" * 10_000,
    ],
)
def test_anything_else_is_no_verdict(text):
    assert read_reply(text) is None


@given(st.text())
def test_the_last_line_is_read_whatever_stands_before_it(text):
    left = Reading(preferred=Preferred.LEFT, strength=None)
    assert read_reply(f'{text}\n{{"verdict": "A"}}') == left
    assert read_reply(f"{text}\n[[A]]") == left


L, R, T = (Reading(preferred=p, strength=None) for p in Preferred)


@pytest.mark.parametrize(
    ("first_left", "second_left", "verdict", "consistent"),
    [
        (L, R, Verdict.FIRST, True),
        (R, L, Verdict.SECOND, True),
        (T, T, Verdict.TIE, True),
        (L, L, Verdict.TIE, False),
        (R, R, Verdict.TIE, False),
        (L, T, Verdict.TIE, False),
        (T, R, Verdict.TIE, False),
    ],
)
def test_both_orders_must_agree(first_left, second_left, verdict, consistent):
    found = combine(first_left, second_left)
    assert (found.verdict, found.consistent, found.strength) == (verdict, consistent, None)


def test_a_strength_counts_when_both_orders_give_it():
    left = Reading(preferred=Preferred.LEFT, strength=Strength.CLEAR)
    right = Reading(preferred=Preferred.RIGHT, strength=Strength.CLEAR)
    slight = Reading(preferred=Preferred.RIGHT, strength=Strength.SLIGHT)
    assert combine(left, right).strength is Strength.CLEAR
    assert combine(left, slight).strength is None
    assert combine(left, left).strength is None  # they disagree: a tie has none


def test_the_request_holds_the_rubric_and_the_fenced_material_and_nothing_else():
    system, user = request(TURNS, "Hot {leaf} water", "A drink", rubric="Be strict.", code="c0de")

    assert (system.role, user.role) == ("system", "user")
    assert "Be strict." in system.content
    assert "[system]\nBe brief.\n\n[user]\nWhat is tea?" in user.content
    assert "<<<answer A c0de>>>\nHot {leaf} water\n<<<end of answer A c0de>>>" in user.content
    assert "<<<answer B c0de>>>\nA drink\n<<<end of answer B c0de>>>" in user.content
    assert "c0de" not in system.content  # the same for all requests, so that it is read once
    assert DEFAULT_RUBRIC in request(TURNS, "a", "b", rubric=" ", code="c")[0].content


def test_a_code_that_occurs_in_the_material_is_not_free():
    assert code_is_free("c0de", TURNS, ("a", "b"))
    assert not code_is_free("tea", TURNS, ("a", "b"))
    assert not code_is_free("b", TURNS, ("a", "b"))


def test_reasons_are_bounded_and_storable():
    text = reasons("x" * 100_000 + "\n[[A]]", "half a pair: \ud800\n[[B]]")

    assert len(text) < 2 * MAX_REASON_CHARS + 200
    assert "[[A]]" in text
    assert "half a pair: ?" in text
    assert "Asked with the first answer as A:" in text
    assert "Asked with the second answer as A:" in text


def test_the_raw_verdicts_come_back_from_the_criteria():
    assert orders_of({"order_1": "left", "order_2": "tie"}) == (Preferred.LEFT, Preferred.TIE)
    assert orders_of({}) is None
    assert orders_of({"order_1": "left", "order_2": "up"}) is None
