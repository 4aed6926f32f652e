"""The win rate: the same whoever is asked about first, and never surer than the data."""

import math
import random

import pytest
from factories import fill_store, make_pair, make_policy, make_prompt, make_response, open_store
from hypothesis import given, settings
from hypothesis import strategies as st

from annotate.cards import Choice, Submission
from annotate.config import AnnotateConfig
from annotate.desk import Desk
from storage.intervals import wilson
from storage.records import Purpose, Verdict
from storage.summaries import Outcome, evaluation_outcomes
from storage.win_rate import WinRate, win_rate

US, THEM, OTHER = "m1:us", "m1:them", "m1:other"
F, S, T, B = (v.value for v in Verdict if v is not Verdict.SKIP)


def outcome(
    verdict: str,
    *,
    prompt: object = 0,
    first: str = US,
    second: str = THEM,
    chars: tuple[int, int] = (10, 10),
) -> Outcome:
    return Outcome(
        pair_id=f"c1:{prompt}",
        prompt_id=f"p1:{prompt}",
        first_policy=first,
        second_policy=second,
        verdict=verdict,
        first_chars=chars[0],
        second_chars=chars[1],
    )


def each(*verdicts: str) -> list[Outcome]:
    """One comparison for each of as many prompts."""
    return [outcome(v, prompt=i) for i, v in enumerate(verdicts)]


def rate(outcomes: list[Outcome]) -> WinRate:
    return win_rate(outcomes, policy=US, against=THEM)


outcomes = st.lists(
    st.builds(
        lambda v, p, turn: outcome(v, prompt=p, **({"first": THEM, "second": US} if turn else {})),
        st.sampled_from([F, S, T, B]),
        st.integers(0, 6),
        st.booleans(),
    ),
    max_size=15,
)


def turned(one: Outcome) -> Outcome:
    verdict = Verdict(one.verdict).swapped().value
    return outcome(
        verdict, prompt=one.prompt_id[3:], first=one.second_policy, second=one.first_policy
    )


@settings(max_examples=50)
@given(outcomes, st.lists(st.booleans(), min_size=15, max_size=15))
def test_which_policy_answered_first_does_not_matter(found, turns):
    mixed = [turned(o) if turn else o for o, turn in zip(found, turns, strict=False)]
    assert repr(rate(mixed)) == repr(rate(found))


@settings(max_examples=50)
@given(outcomes)
def test_the_other_policys_win_rate_is_the_mirror_image(found):
    ours, theirs = rate(found), win_rate(found, policy=THEM, against=US)
    assert (theirs.wins, theirs.ties, theirs.losses) == (ours.losses, ours.ties, ours.wins)
    assert (theirs.value, theirs.low, theirs.high) == pytest.approx(
        (1 - ours.value, 1 - ours.high, 1 - ours.low), nan_ok=True
    )


@settings(max_examples=50)
@given(outcomes.filter(bool))
def test_the_interval_contains_the_value_lies_in_zero_to_one_and_is_never_empty(found):
    ours = rate(found)
    assert 0 <= ours.low <= ours.value <= ours.high <= 1
    assert ours.low < ours.high
    assert ours.comparisons == len(found)
    assert ours.prompts == len({o.prompt_id for o in found})


def test_a_tie_and_both_bad_count_half_for_each():
    assert rate(each(F, F, S, T)).value == 0.625
    assert rate(each(F, B)).value == 0.75
    ours = rate(each(F, T, B, S))
    assert (ours.wins, ours.ties, ours.losses, ours.value) == (1, 2, 1, 0.5)


def test_comparisons_of_other_policies_are_left_out():
    others = [outcome(S, prompt=9, second=OTHER), outcome(S, prompt=9, first=OTHER)]
    assert rate(each(F, S) + others) == rate(each(F, S))


def test_without_a_comparison_there_is_no_win_rate():
    ours = rate([])
    assert (ours.comparisons, ours.prompts) == (0, 0)
    assert math.isnan(ours.value)
    assert math.isnan(ours.low)


def test_the_interval_is_repeatable_and_narrows_with_more_prompts():
    few, many = rate(each(*[F, F, S] * 10)), rate(each(*[F, F, S] * 100))
    assert few == rate(each(*[F, F, S] * 10))
    assert many.high - many.low < (few.high - few.low) / 2


def test_more_answers_to_the_same_prompts_make_nobody_surer():
    """Answers to one prompt stand or fall together, so prompts are what is resampled."""
    once = rate(each(*[F, S] * 10))
    often = rate(each(*[F, S] * 10) * 20)
    assert (often.low, often.high) == (once.low, once.high)
    assert often.comparisons == 20 * once.comparisons


def test_the_interval_is_about_that_of_a_fair_proportion():
    """60 of 100: the normal approximation gives .6 +- 1.96 sqrt(.6 * .4 / 100) = [.504, .696]."""
    ours = rate(each(*[F] * 60, *[S] * 40))
    assert (ours.low, ours.high) == pytest.approx((0.504, 0.696), abs=0.011)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_the_published_one(successes, n, low, high):
    """Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3."""
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("verdict", "value"), [(F, 1.0), (S, 0.0), (T, 0.5), (B, 0.5)])
def test_where_every_comparison_came_out_alike_the_interval_is_wilsons(verdict, value):
    """Resampling would show no spread and the report would claim certainty."""
    ours = rate(each(*[verdict] * 20))
    assert ours.value == value
    assert (ours.low, ours.high) == wilson(20 * value, 20)


def test_a_win_is_a_persons_click_on_the_policys_text(tmp_path):
    """From the labeling page to the report: the policy whose text is picked wins, on either side."""
    with open_store(tmp_path) as store, store.connected():
        filled = fill_store(store, pairs=0, labelers=(), admin=None)
        ours = make_policy(1, parent=filled.policy)
        prompts = [make_prompt(f"Test {i}") for i in range(8)]
        answers = [
            (make_response(p, ours, "new"), make_response(p, filled.policy, "old")) for p in prompts
        ]
        pairs = [make_pair(*both, purpose=Purpose.EVALUATION, number=1) for both in answers]
        for rows in ([ours], prompts, [r for both in answers for r in both], pairs):
            store.append(rows)
        desk, chance = Desk(store, AnnotateConfig()), random.Random(0)
        sides = set()
        for i, card in enumerate(desk.cards("ann", count=8, have=())):
            wanted = "new" if i < 6 else "old"
            choice = Choice.LEFT if card.left == wanted else Choice.RIGHT
            sides.add((wanted, choice))
            desk.submit(
                "ann",
                Submission(
                    key=f"{chance.random():.16f}",
                    presentation=card.presentation,
                    choice=choice,
                    strength=None,
                    seconds=1.0,
                ),
            )
        assert {c for w, c in sides if w == "new"} == {Choice.LEFT, Choice.RIGHT}
        report = win_rate(evaluation_outcomes(store), policy=ours.id, against=filled.policy.id)
        assert (report.wins, report.losses, report.value) == (6, 2, 0.75)
