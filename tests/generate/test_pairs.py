"""Which answers meet: nothing unworthy of a question is asked, and nothing vanishes uncounted."""

import random
from collections import Counter

import pytest
from factories import NOW, make_policy, make_prompt, make_response
from hypothesis import given, settings
from hypothesis import strategies as st

from generate.config import GenerateConfig
from generate.filters import Drop, Filters, normalised, usable
from generate.pairs import Formed, form_pairs, policy_pairs
from generate.plan import plan, seed_of
from storage.records import FinishReason, Purpose, Response

POLICY, OTHER = make_policy(), make_policy(1, parent=make_policy())
PROMPTS = [make_prompt(f"Question {i}") for i in range(4)]
PROMPT_IDS = [p.id for p in PROMPTS]
FILTERS = Filters(near_duplicate=0.9)
TEA = "tea is a drink made from leaves and hot water which many people like very much"


def answers(texts, *, prompt=PROMPTS[0], policy=POLICY, **changes) -> list[Response]:
    return [make_response(prompt, policy, text, index=i, **changes) for i, text in enumerate(texts)]


def different(n: int) -> list[str]:
    """Texts that no two words make alike."""
    return [" ".join(f"{word}{i}" for word in TEA.split()) for i in range(n)]


def form(by_prompt, *, per_prompt: int = 1, seed: int = 0) -> Formed:
    return form_pairs(
        by_prompt, pairs_per_prompt=per_prompt, filters=FILTERS, seed=seed, number=0, now=NOW
    )


def texts_of(formed: Formed, responses: list[Response]) -> set[str]:
    by_id = {r.id: r.text for r in responses}
    return {by_id[r] for p in formed.pairs for r in (p.first, p.second)}


def test_empty_and_repeated_answers_never_meet_and_are_counted():
    near = TEA
    texts = ["", " \n\u3000", "Tea.", "  tEA.\n", "Ｔea.", near, near.replace("much", "well")]
    responses = answers(texts)
    formed = form({PROMPTS[0].id: responses}, per_prompt=20)
    assert len(formed.pairs) == 1
    assert {normalised(t) for t in texts_of(formed, responses)} < {normalised(t) for t in texts[2:]}
    assert formed.drops == {Drop.EMPTY: 2, Drop.DUPLICATE: 2, Drop.NEAR_DUPLICATE: 1}


def test_an_answer_cut_off_by_the_token_limit_is_left_out_and_counted():
    """People would judge the cut; where it is empty as well it counts once."""
    cut = answers(["It begins", ""], finish_reason=FinishReason.LENGTH)
    whole = [make_response(PROMPTS[0], POLICY, "It ends.", index=5)]
    formed = form({PROMPTS[0].id: cut + whole})
    assert formed == Formed(
        pairs=[], drops=Counter({Drop.TRUNCATED: 1, Drop.EMPTY: 1, Drop.TOO_FEW: 1})
    )


kinds = st.sampled_from(["", "Tea.", "tea. ", *different(3), TEA, "cut"])


@given(st.lists(st.lists(kinds, max_size=8), max_size=4), st.integers(1, 30), st.integers(0, 5))
def test_every_answer_and_every_prompt_is_paired_or_counted(sampled, per_prompt, seed):
    by_prompt = {}
    for prompt, texts in zip(PROMPTS, sampled, strict=False):
        by_prompt[prompt.id] = [
            make_response(
                prompt,
                POLICY,
                text,
                index=i,
                finish_reason=FinishReason.LENGTH if text == "cut" else FinishReason.STOP,
            )
            for i, text in enumerate(texts)
        ]
    formed = form(by_prompt, per_prompt=per_prompt, seed=seed)
    usable_answers = {p: len(usable(r, FILTERS)[0]) for p, r in by_prompt.items()}
    dropped = formed.drops.total() - formed.drops[Drop.TOO_FEW]
    assert dropped + sum(usable_answers.values()) == sum(map(len, by_prompt.values()))
    pairs = Counter(p.prompt_id for p in formed.pairs)
    assert len(pairs) + formed.drops[Drop.TOO_FEW] == len(by_prompt)
    for prompt, n in usable_answers.items():
        assert pairs[prompt] == min(per_prompt, n * (n - 1) // 2)
    assert len({p.id for p in formed.pairs}) == len(formed.pairs)


@pytest.mark.parametrize("n", range(2, 9))
def test_no_answer_is_used_again_before_every_other_was_used_once(n):
    responses = answers(different(n))
    for per_prompt in range(1, n * (n - 1) // 2 + 1):
        used = Counter(
            r
            for p in form({PROMPTS[0].id: responses}, per_prompt=per_prompt).pairs
            for r in (p.first, p.second)
        )
        idle = n - len(used)
        assert max(used.values()) == 1 or idle == 0
        assert 2 * per_prompt >= n or set(used.values()) == {1}


@settings(max_examples=30)
@given(st.randoms(use_true_random=False))
def test_pairs_depend_on_the_seed_and_not_on_the_order_of_the_answers(chance):
    by_prompt = {p.id: answers(different(6), prompt=p) for p in PROMPTS}
    items = [(prompt, random.Random(0).sample(r, len(r))) for prompt, r in by_prompt.items()]
    chance.shuffle(items)
    assert form(dict(items)) == form(by_prompt)
    assert len({tuple(p.id for p in form(by_prompt, seed=s).pairs) for s in range(5)}) > 1


def test_adding_a_prompt_leaves_the_pairs_of_the_others_as_they_were():
    by_prompt = {p.id: answers(different(6), prompt=p) for p in PROMPTS}
    fewer = dict(list(by_prompt.items())[:2])
    ids = {p.id for p in form(by_prompt).pairs}
    assert {p.id for p in form(fewer).pairs} < ids


def test_policies_meet_only_under_the_same_settings():
    ours = [
        *answers(different(3)),
        make_response(PROMPTS[0], POLICY, "warm", temperature=1.3, index=0),
    ]
    theirs = [
        *answers(["Another text", "And one more"], policy=OTHER),
        make_response(PROMPTS[0], OTHER, "hot", temperature=1.5, index=0),
    ]
    formed = policy_pairs(
        {PROMPTS[0].id: ours}, {PROMPTS[0].id: theirs}, filters=FILTERS, number=1, now=NOW
    )
    by_id = {r.id: r for r in ours + theirs}
    assert len(formed.pairs) == 2
    assert formed.drops == {Drop.TOO_FEW: 2}
    for pair in formed.pairs:
        first, second = by_id[pair.first], by_id[pair.second]
        assert {first.policy_id, second.policy_id} == {POLICY.id, OTHER.id}
        assert (first.temperature, first.sample_index) == (second.temperature, second.sample_index)
        assert (pair.purpose, pair.round) == (Purpose.EVALUATION, 1)


def test_policies_that_answer_alike_are_not_compared_and_that_is_counted():
    ours = answers(["Tea.", "", "One two three four five", "left alone"])
    theirs = answers(["tea. ", "words", "Six"], policy=OTHER)
    formed = policy_pairs(
        {PROMPTS[0].id: ours}, {PROMPTS[0].id: theirs}, filters=FILTERS, number=1, now=NOW
    )
    assert len(formed.pairs) == 1
    assert formed.drops == {Drop.DUPLICATE: 1, Drop.EMPTY: 1, Drop.TOO_FEW: 1}


def test_every_wanted_answer_has_a_seed_and_an_id_of_its_own():
    """vLLM gives alike answers to one seed at two temperatures."""
    config = GenerateConfig(model="m", samples_per_temperature=3, temperatures=(0.7, 1.0))
    wanted = plan(PROMPT_IDS, [POLICY], config)
    assert len(wanted) == len(PROMPT_IDS) * 2 * 3
    assert len({w.response_id for w in wanted}) == len(wanted)
    assert len({w.sampling.seed for w in wanted}) == len(wanted)
    assert all(0 <= w.sampling.seed < 2**31 for w in wanted)
    assert wanted == plan(PROMPT_IDS, [POLICY], config)


def test_asking_for_more_samples_keeps_those_already_there():
    few = plan(PROMPT_IDS, [POLICY], GenerateConfig(model="m", samples_per_temperature=1))
    many = plan(PROMPT_IDS, [POLICY], GenerateConfig(model="m", samples_per_temperature=2))
    assert {w.response_id for w in few} < {w.response_id for w in many}
    other = plan(PROMPT_IDS, [POLICY], GenerateConfig(model="m", samples_per_temperature=1, seed=1))
    assert not {w.response_id for w in few} & {w.response_id for w in other}


def test_seeds_never_change_between_versions():
    """A generation that was killed goes on under the next version without sampling twice."""
    assert seed_of(0, "p1:a", temperature=0.7, index=0) == 2115934380
