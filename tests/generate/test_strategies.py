"""Strategies: what each puts together, and what holds for all of them."""

import random
import statistics
from collections import Counter
from dataclasses import replace
from itertools import combinations

import pytest
from factories import NOW, make_pair, make_policy, make_prompt, make_response
from hypothesis import given, settings
from hypothesis import strategies as st

from generate.filters import Drop, Filters, normalised, similarity
from generate.pairs import Formed, Known, form_pairs
from generate.strategies import Strategy, best_against_lower, spread, uncertain
from storage.records import Purpose, Response

POLICY = make_policy()
OTHER = make_policy(1, parent=POLICY)
PROMPTS = [make_prompt(f"Question {i}") for i in range(3)]
FILTERS = Filters(near_duplicate=0.9)
BY_PROMPT = [s for s in Strategy if s is not Strategy.SWISS]  # swiss forms rounds
WORDS = [
    "tea",
    "bread",
    "bees",
    "chess",
    "rain",
    "soup",
    "maps",
    "cats",
    "ships",
    "glass",
    "snow",
    "wool",
    "ink",
    "iron",
    "salt",
    "moss",
]


def answers(n: int, *, prompt=PROMPTS[0], temperatures=(0.7, 1.0, 1.3)) -> list[Response]:
    """Distinct answers, over the temperatures in turn."""
    return [
        make_response(
            prompt,
            POLICY,
            " ".join(random.Random(i).sample(WORDS, 6)) + f" {i}",
            temperature=temperatures[i % len(temperatures)],
            index=i,
        )
        for i in range(n)
    ]


def form(by_prompt, strategy: Strategy, *, per_prompt: int = 1, seed: int = 0, **known) -> Formed:
    return form_pairs(
        by_prompt,
        strategy=strategy,
        pairs_per_prompt=per_prompt,
        filters=FILTERS,
        seed=seed,
        number=0,
        now=NOW,
        known=Known(**known),
    )


def ids(formed: Formed) -> list[tuple[str, str]]:
    return [(p.first, p.second) for p in formed.pairs]


texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join)
sampled = st.lists(
    st.tuples(
        texts | st.just(""),
        st.sampled_from([0.7, 1.0]),
        st.booleans(),
        st.floats(-1, 1),
    ),
    max_size=7,
)


@settings(max_examples=150)
@given(
    st.lists(sampled, max_size=3),
    st.sampled_from(Strategy),
    st.integers(1, 5),
    st.integers(0, 3),
    st.randoms(use_true_random=False),
)
def test_whatever_the_strategy(found, strategy, per_prompt, seed, chance):
    """Distinct sound answers of one prompt meet, never twice; a repeat forms nothing; the order of
    the input does not matter; every prompt has a pair or is counted."""
    scores, by_prompt = {}, {}
    for prompt, rows in zip(PROMPTS, found, strict=False):
        by_prompt[prompt.id] = [
            make_response(prompt, OTHER if other else POLICY, text, temperature=t, index=i)
            for i, (text, t, other, _) in enumerate(rows)
        ]
        pairs_of = zip(by_prompt[prompt.id], rows, strict=True)
        scores |= {r.id: score for r, (_, _, _, score) in pairs_of}
    formed = form(by_prompt, strategy, per_prompt=per_prompt, seed=seed, scores=scores)
    by_id = {r.id: r for rs in by_prompt.values() for r in rs}

    assert len({p.id for p in formed.pairs}) == len(formed.pairs)
    for pair in formed.pairs:
        a, b = by_id[pair.first], by_id[pair.second]
        assert a.prompt_id == b.prompt_id == pair.prompt_id
        assert a.text.strip()
        assert b.text.strip()
        assert similarity(normalised(a.text), normalised(b.text)) < FILTERS.near_duplicate
        assert (pair.strategy, pair.purpose) == (strategy.value, Purpose.TRAIN)
    of_prompt = Counter(p.prompt_id for p in formed.pairs)
    if strategy is not Strategy.SWISS:
        assert all(n <= per_prompt for n in of_prompt.values())
    per_response = (Drop.EMPTY, Drop.LOOPING, Drop.DUPLICATE, Drop.NEAR_DUPLICATE)
    counted = sum(n for drop, n in formed.drops.items() if drop not in per_response)
    assert len(of_prompt) + counted == len(by_prompt)

    again = form(
        by_prompt, strategy, per_prompt=per_prompt, seed=seed, scores=scores, pairs=formed.pairs
    )
    assert again.pairs == []
    mixed = [(k, random.Random(1).sample(v, len(v))) for k, v in by_prompt.items()]
    chance.shuffle(mixed)
    same = form(dict(mixed), strategy, per_prompt=per_prompt, seed=seed, scores=scores)
    assert same == formed


@pytest.mark.parametrize("strategy", BY_PROMPT)
def test_one_pair_now_and_more_later_is_the_same_as_all_at_once(strategy):
    """So raising generate.pairs_per_prompt adds to what is being labeled."""
    by_prompt = {p.id: answers(6, prompt=p) for p in PROMPTS}
    if strategy is Strategy.POLICY_AGAINST_POLICY:
        by_prompt = {
            k: [replace(r, policy_id=OTHER.id if i % 2 else POLICY.id) for i, r in enumerate(v)]
            for k, v in by_prompt.items()
        }
    scores = {r.id: hash_free(r) for v in by_prompt.values() for r in v}
    at_once = form(by_prompt, strategy, per_prompt=4, scores=scores)
    pairs = []
    for count in (1, 3, 4):
        formed = form(by_prompt, strategy, per_prompt=count, scores=scores, pairs=pairs)
        pairs += formed.pairs
    assert {p.id for p in pairs} == {p.id for p in at_once.pairs}
    assert Counter(p.prompt_id for p in pairs) == {p.id: 4 for p in PROMPTS}


def hash_free(response: Response) -> float:
    """A score of its own for each response, the same in every process."""
    return int(response.id.removeprefix("r1:")[:8], 16) / 2**32


@pytest.mark.parametrize("strategy", BY_PROMPT)
def test_the_seed_moves_what_is_left_to_chance(strategy):
    by_prompt = {p.id: answers(6, prompt=p) for p in PROMPTS}
    if strategy is Strategy.POLICY_AGAINST_POLICY:
        by_prompt = {
            k: [replace(r, policy_id=OTHER.id if i % 2 else POLICY.id) for i, r in enumerate(v)]
            for k, v in by_prompt.items()
        }
    tied = {r.id: float(i % 2) for v in by_prompt.values() for i, r in enumerate(v)}
    found = {tuple(ids(form(by_prompt, strategy, seed=s, scores=tied))) for s in range(6)}
    assert len(found) > 1


def test_a_second_strategy_adds_pairs_and_takes_unused_answers_first():
    by_prompt = {PROMPTS[0].id: answers(6)}
    first = form(by_prompt, Strategy.RANDOM)
    second = form(by_prompt, Strategy.ACROSS_TEMPERATURES, pairs=first.pairs)
    assert len(second.pairs) == 1
    (used,) = ids(first)
    assert not set(used) & set(ids(second)[0])


def test_where_every_such_pair_exists_that_is_counted():
    few = answers(2)
    known = form({PROMPTS[0].id: few}, Strategy.MOST_DIFFERENT).pairs
    assert form({PROMPTS[0].id: few}, Strategy.RANDOM, pairs=known) == Formed(
        pairs=[], drops=Counter({Drop.NOTHING_NEW: 1})
    )


def test_across_temperatures_never_puts_one_temperature_against_itself():
    by_id = {r.id: r for r in answers(9)}
    formed = form(
        {PROMPTS[0].id: list(by_id.values())}, Strategy.ACROSS_TEMPERATURES, per_prompt=99
    )
    assert len(formed.pairs) == 27
    assert all(by_id[a].temperature != by_id[b].temperature for a, b in ids(formed))
    one = {PROMPTS[0].id: answers(4, temperatures=(1.0,))}
    assert form(one, Strategy.ACROSS_TEMPERATURES).drops == {Drop.ONE_TEMPERATURE: 1}


def test_policies_meet_each_other_and_not_themselves():
    mine = answers(3)
    theirs = [
        make_response(PROMPTS[0], OTHER, f"{r.text} or else", index=i) for i, r in enumerate(mine)
    ]
    by_id = {r.id: r for r in mine + theirs}
    formed = form({PROMPTS[0].id: mine + theirs}, Strategy.POLICY_AGAINST_POLICY, per_prompt=99)
    assert len(formed.pairs) == 9
    assert all(by_id[a].policy_id != by_id[b].policy_id for a, b in ids(formed))
    alone = {PROMPTS[0].id: mine}
    assert form(alone, Strategy.POLICY_AGAINST_POLICY).drops == {Drop.ONE_POLICY: 1}


def test_the_most_different_answers_share_the_fewest_words():
    found = answers(7)
    by_id = {r.id: normalised(r.text) for r in found}
    formed = form({PROMPTS[0].id: found}, Strategy.MOST_DIFFERENT, per_prompt=21)
    alike = [similarity(by_id[a], by_id[b]) for a, b in ids(formed)]
    assert alike == sorted(alike)
    assert len(alike) == 21
    assert alike[0] == min(similarity(x, y) for x, y in combinations(by_id.values(), 2))


def test_uncertain_takes_the_nearest_scores_and_only_answers_that_have_one():
    found = answers(5)
    scores = dict(zip([r.id for r in found], [0.0, 1.0, 1.1, 5.0], strict=False))
    matches = uncertain(found, scores, random.Random(0))
    assert len(matches) == 6
    assert {matches[0][0].id, matches[0][1].id} == {found[1].id, found[2].id}
    margins = [abs(scores[a.id] - scores[b.id]) for a, b in matches]
    assert margins == sorted(margins)
    formed = form({PROMPTS[0].id: found}, Strategy.UNCERTAIN, scores={found[0].id: 1.0})
    assert formed.drops == {Drop.NOT_SCORED: 1}


def test_the_best_meets_the_one_two_standard_deviations_below_it_and_not_the_worst():
    found = answers(9)
    values = [4.0, 3.5, 3.0, 2.5, 2.0, 1.5, 1.0, 0.5, -9.0]
    scores = dict(zip([r.id for r in found], values, strict=True))
    (best, lower), *_ = best_against_lower(found, scores, random.Random(0))
    assert scores[best.id] == 4.0
    target = 4.0 - 2 * statistics.pstdev(values)
    assert abs(scores[lower.id] - target) == min(abs(v - target) for v in values)
    assert scores[lower.id] > -9.0


def test_equal_scores_give_no_best():
    found = answers(4)
    formed = form(
        {PROMPTS[0].id: found}, Strategy.BEST_AGAINST_LOWER, scores={r.id: 1.0 for r in found}
    )
    assert formed.drops == {Drop.NOT_SCORED: 1}


@given(st.integers(2, 9), st.integers(0, 3))
def test_spread_uses_every_answer_once_before_any_twice(n, seed):
    found = answers(n)
    matches = list(combinations(found, 2))
    random.Random(seed).shuffle(matches)
    used: Counter[str] = Counter()
    for a, b in spread(matches, {}):
        used.update((a.id, b.id))
        idle = n - len(used)
        assert max(used.values()) == 1 or idle <= 1
    assert set(used.values()) == {n - 1}


def test_a_pair_of_another_round_or_strategy_is_never_formed_again():
    found = answers(3)
    there = [make_pair(a, b, number=4) for a, b in combinations(found, 2)][:2]
    formed = form({PROMPTS[0].id: found}, Strategy.RANDOM, per_prompt=9, pairs=there)
    assert len(formed.pairs) == 1
    assert not {p.id for p in formed.pairs} & {p.id for p in there}
