"""Near-duplicate prompts and prompts of a given list: none is missed, none is invented."""

import json
import random
import time
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import make_prompt
from hypothesis import given
from hypothesis import strategies as st

from generate.decontaminate import contaminated, read_texts
from generate.filters import tokens
from generate.near import near_duplicates, text_of
from storage.errors import InputError
from storage.records import Message

WORDS = [f"word{i}" for i in range(300)]


def runs(text: str) -> set[tuple[str, ...]]:
    words = tokens(text)
    width = min(3, len(words))
    return {tuple(words[i : i + width]) for i in range(len(words) - width + 1)} if words else set()


def share(a: str, b: str) -> float:
    return len(runs(a) & runs(b)) / len(runs(a) | runs(b)) if runs(a) | runs(b) else 0.0


few = st.lists(st.sampled_from("abc"), max_size=12).map(" ".join)


@given(st.lists(few, max_size=12), st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_what_is_found_is_what_comparing_every_two_texts_finds(texts, at_least):
    found = {n.later: n for n in near_duplicates(texts, at_least=at_least)}
    for later, text in enumerate(texts):
        near = [e for e in range(later) if share(text, texts[e]) >= at_least - 1e-12]
        assert (later in found) == bool(near)
        if later in found:
            assert found[later].earlier in near
            assert found[later].share == pytest.approx(share(text, texts[found[later].earlier]))


def test_only_texts_from_the_start_on_are_reported():
    texts = ["a b c d", "a b c d", "x y z", "a b c d"]
    assert [(n.later, n.earlier) for n in near_duplicates(texts)] == [(1, 0), (3, 0)]
    assert [(n.later, n.earlier) for n in near_duplicates(texts, start=2)] == [(3, 0)]


def test_a_system_prompt_that_all_share_makes_no_prompts_alike():
    system = Message(role="system", content="You are a helpful assistant. " * 20)
    one, other = (
        text_of((system, Message(role="user", content=text)))
        for text in ("What is tea?", "How do bees make honey?")
    )
    assert near_duplicates([one, other]) == []
    assert len(near_duplicates([one, one])) == 1


def test_one_word_changed_in_a_long_prompt_is_near_and_another_subject_is_not():
    chance = random.Random(0)
    text = chance.sample(WORDS, 40)
    changed = [*text[:20], "else", *text[21:]]
    other = chance.sample(WORDS, 40)
    found = near_duplicates([" ".join(t) for t in (text, changed, other)])
    assert [(n.later, n.earlier) for n in found] == [(1, 0)]
    assert found[0].share == pytest.approx(35 / 41)


def test_twenty_thousand_prompts_take_seconds():
    chance = random.Random(0)
    texts = [" ".join(chance.choices(WORDS, k=30)) for _ in range(20_000)]
    texts += [f"{text} indeed" for text in texts[:50]]
    began = time.process_time()  # a busy machine is no failure
    found = near_duplicates(texts)
    assert time.process_time() - began < 60
    assert {(n.later, n.earlier) for n in found} == {(20_000 + i, i) for i in range(50)}


BENCHMARK = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. "
    "How many clips did Natalia sell altogether in April and May?"
)


def hits(prompt, *listed: str) -> bool:
    return bool(contaminated([prompt], [(str(i), text) for i, text in enumerate(listed)]))


@pytest.mark.parametrize(
    ("prompt", "is_listed"),
    [
        (BENCHMARK, True),
        (BENCHMARK.upper().replace(",", " -"), True),
        (f"Please solve this. {BENCHMARK} Think step by step.", True),
        (
            "She sold clips to 48 of her friends in April, and then she sold half as many, well",
            True,
        ),
        ("Natalia sold clips to 48 of her friends in April, and bought a car.", False),
        ("What is the capital of France?", True),
        ("What is the capital of France, and why?", False),
        ("Tell me, who wrote the old book about the white whale and the sea?", True),
        ("What is tea?", False),
    ],
)
def test_the_rule_is_thirteen_words_in_a_row_or_a_shorter_text_whole(prompt, is_listed):
    capital = "What is the capital of France?"  # six words: must be the same
    whale = "Who wrote the old book about the white whale"  # nine: must occur
    assert hits(make_prompt(prompt), BENCHMARK, capital, whale) == is_listed


@given(st.integers(8, 30), st.integers(0, 20), st.integers(0, 5))
def test_a_run_of_thirteen_words_decides_wherever_it_stands(shared, before, seed):
    chance = random.Random(seed)
    words = chance.sample(WORDS, 80)
    common, mine, theirs = words[:shared], words[30:55], words[55:]
    prompt = make_prompt(" ".join([*mine[:before], *common, *mine[before:]]))
    assert hits(prompt, " ".join([*theirs[:3], *common, *theirs[3:]])) == (shared >= 13)


def test_earlier_turns_count_and_the_system_prompt_does_not():
    turns = [("user", BENCHMARK), ("assistant", "72"), ("user", "Are you sure?")]
    said = tuple(Message(role=role, content=text) for role, text in turns)
    assert hits(make_prompt(messages=said), BENCHMARK)
    system = (Message(role="system", content=BENCHMARK), said[2])
    assert not hits(make_prompt(messages=system), BENCHMARK)


def test_every_text_of_every_row_is_in_the_list(tmp_path):
    rows = [
        {"question": "Q one", "choices": ["A", "B"], "id": 3},
        {"messages": [{"role": "user", "content": "Deep"}]},
    ]
    jsonl, parquet = tmp_path / "list.jsonl", tmp_path / "list.parquet"
    jsonl.write_text("\n".join([*map(json.dumps, rows), '"Plain"']))
    pq.write_table(pa.table({"text": ["One", None]}), parquet)
    found = list(read_texts([str(jsonl), str(parquet)]))
    assert [text for _, text in found] == ["Q one", "A", "B", "user", "Deep", "Plain", "One"]
    assert found[-1][0] == f"{parquet}, row 1"
    jsonl.write_text('{"a": "b"}\n{')
    with pytest.raises(InputError, match="line 2: not JSON"):
        list(read_texts([str(jsonl)]))


def test_where_it_stands_is_said():
    (hit,) = contaminated([make_prompt(BENCHMARK)], [("list, line 7", BENCHMARK)]).values()
    assert hit == (
        "list, line 7",
        "natalia sold clips to 48 of her friends in april and then she",
    )
    assert all(a != b for a, b in pairwise(hit))
