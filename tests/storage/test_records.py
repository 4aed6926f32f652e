"""The records' own rules: symmetry, content ids and what they refuse."""

import math
from dataclasses import replace

import pytest
from factories import make_judgment, make_pair, make_policy, make_prompt, make_response
from hypothesis import given
from hypothesis import strategies as st

from storage.records import (
    Message,
    Pair,
    Policy,
    Prompt,
    Purpose,
    Response,
    Sampling,
    Side,
    Split,
    Strength,
    Triplet,
    Verdict,
)

PROMPT = make_prompt()
POLICY = make_policy()
messages = st.lists(
    st.builds(
        lambda role, content: Message(role=role, content=content),
        st.sampled_from(["system", "user", "assistant"]),
        st.text(max_size=5),
    ),
    max_size=3,
)
samplings = st.builds(
    lambda t, p, m, s, i: Sampling(temperature=t, top_p=p, max_tokens=m, seed=s, index=i),
    st.sampled_from([0.0, 0.7, 1.0]),
    st.sampled_from([0.9, 1.0]),
    st.integers(1, 3),
    st.integers(0, 2),
    st.integers(0, 2),
)


@pytest.mark.parametrize("value", [*Verdict, *Side])
def test_swapping_twice_changes_nothing(value):
    assert value.swapped().swapped() is value


def test_swapping_exchanges_the_sides_and_leaves_the_rest():
    swapped = {v: v.swapped() for v in Verdict}
    assert swapped.pop(Verdict.FIRST) is Verdict.SECOND
    assert swapped.pop(Verdict.SECOND) is Verdict.FIRST
    assert all(before is after for before, after in swapped.items())
    assert Side.LEFT.swapped() is Side.RIGHT


@pytest.mark.parametrize("verdict", Verdict)
def test_a_swapped_judgment_differs_in_its_verdict_alone(verdict):
    decisive = verdict in (Verdict.FIRST, Verdict.SECOND)
    strength = Strength.CLEAR if decisive else None
    judgment = make_judgment("c1:x", "ann", verdict, strength=strength)
    other = make_judgment("c1:x", "ann", verdict.swapped(), strength=strength)
    assert judgment.swapped() == other
    assert judgment.swapped().swapped() == judgment


def test_content_ids_never_change_between_versions():
    """Stored ids point at one another: another form of hashing needs another tag."""
    sampling = Sampling(temperature=0.7, top_p=1.0, max_tokens=64, seed=7, index=0)
    assert [
        Prompt.id_of([Message(role="user", content="Was ist Tee? 🍵")]),
        Policy.id_of(base_model="test/model", adapter_hash=None, parent=None),
        Response.id_of(prompt_id="p1:a", policy_id="m1:b", sampling=sampling),
        Pair.id_of(first="r1:a", second="r1:b", purpose=Purpose.TRAIN),
        Triplet.id_of(run_id="run", pair_id="c1:a"),
    ] == [
        "p1:7eb85ae0863fc03cb09b48b463690f52",
        "m1:47b2afc5c4a7579d875d452a58dfc513",
        "r1:f7a8513560ecd3adca7e9fee217b9fbb",
        "c1:92ff1a42932e3e79b5ddc4120347b1f6",
        "t1:f9284b91dbbfac99204f81d541b02e92",
    ]


@given(messages, messages)
def test_prompts_have_the_same_id_exactly_when_their_conversations_are_the_same(one, other):
    assert (Prompt.id_of(one) == Prompt.id_of(other)) == (one == other)


def test_where_a_prompt_came_from_does_not_change_its_id():
    assert make_prompt("Hi").id == make_prompt("Hi", source="b", split=Split.TEST, tags=("x",)).id


@given(samplings, samplings)
def test_two_samples_of_one_prompt_have_the_same_id_only_under_the_same_settings(one, other):
    """Two equal texts sampled at different indices stay two responses."""
    ids = [Response.id_of(prompt_id="p1:a", policy_id="m1:b", sampling=s) for s in (one, other)]
    assert (ids[0] == ids[1]) == (one == other)


@given(st.text(), st.text(), st.sampled_from(Purpose))
def test_a_pairs_id_does_not_depend_on_the_order_of_its_responses(a, b, purpose):
    assert Pair.id_of(first=a, second=b, purpose=purpose) == Pair.id_of(
        first=b, second=a, purpose=purpose
    )


def test_the_same_two_responses_for_another_purpose_are_another_pair():
    ids = {Pair.id_of(first="r1:a", second="r1:b", purpose=p) for p in Purpose}
    assert len(ids) == len(Purpose)


def test_a_pair_holds_two_different_responses_in_ascending_order():
    a, b = (make_response(PROMPT, POLICY, "x", index=i) for i in range(2))
    values = {
        "id": "c1:x",
        "prompt_id": PROMPT.id,
        "purpose": Purpose.TRAIN,
        "strategy": "random",
        "round": 0,
        "created_at": PROMPT.created_at,
    }
    low, high = sorted([a.id, b.id])
    assert make_pair(a, b) == make_pair(b, a)
    with pytest.raises(ValueError, match="ascending order"):
        Pair(first=high, second=low, **values)
    with pytest.raises(ValueError, match="two different responses"):
        Pair(first=low, second=low, **values)


@pytest.mark.parametrize("verdict", [Verdict.TIE, Verdict.BOTH_BAD, Verdict.SKIP])
def test_a_strength_without_a_preference_is_refused(verdict):
    with pytest.raises(ValueError, match="strength goes with a preference"):
        make_judgment("c1:x", "ann", verdict, strength=Strength.SLIGHT)


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, -0.1])
def test_a_time_that_no_clock_shows_is_refused(seconds):
    with pytest.raises(ValueError, match="seconds must be finite"):
        make_judgment("c1:x", "ann", Verdict.TIE, seconds=seconds)


def test_only_the_first_policy_has_no_parent():
    with pytest.raises(ValueError, match="only round 0 has none"):
        make_policy(0, parent=POLICY)
    with pytest.raises(ValueError, match="only round 0 has none"):
        make_policy(1)
    assert make_policy(1, parent=POLICY).parent == POLICY.id


def test_a_response_keeps_its_id_unless_a_setting_that_came_later_is_used():
    """Answers of older workspaces are found again; a cut or stopped one is another answer."""
    plain = Sampling(temperature=0.7, top_p=1.0, max_tokens=64, seed=7, index=0)

    def id_of(sampling):
        return Response.id_of(prompt_id="p1:a", policy_id="m1:b", sampling=sampling)

    assert id_of(plain) == "r1:f7a8513560ecd3adca7e9fee217b9fbb"
    others = {
        id_of(replace(plain, **change))
        for change in ({"top_k": 5}, {"min_p": 0.1}, {"stop": ("a",)}, {"stop": ("a", "b")})
    }
    assert len(others) == 4
    assert all(other.startswith("r2:") for other in others)
