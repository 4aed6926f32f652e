"""Which answers are shown: faults are found, sound answers are not taken for faulty."""

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from factories import make_policy, make_prompt, make_response
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Indel

from generate.filters import (
    Drop,
    Filters,
    looping,
    normalised,
    sift,
    similarity,
    stock_refusal,
    tokens,
    usable,
)
from storage.records import FinishReason

POLICY, PROMPT = make_policy(), make_prompt()
TEA = "tea is a drink made from leaves and hot water which many people like very much"
DATA = Path(os.environ.get("PAIRLOOP_SHARED_DATA", "../shared/data"))
PLAIN = Filters(near_duplicate=0.9)

texts = st.lists(st.sampled_from("abc"), max_size=8).map(" ".join)


def answer(text: str, index: int = 0, **changes):
    return make_response(PROMPT, POLICY, text, index=index, **changes)


def drops_of(*found: str, filters: Filters = PLAIN) -> dict[str, Drop | None]:
    sifted = sift([answer(text, i) for i, text in enumerate(found)], filters)
    return {s.response.text: s.drop for s in sifted}


@given(texts, texts)
def test_similarity_is_a_share_and_whole_only_for_equal_texts(a, b):
    assert 0 <= similarity(a, b) <= 1
    assert similarity(a, b) == similarity(b, a)
    assert (similarity(a, b) == 1) == (a == b)
    assert similarity(a, b) == 0 or set(a.split()) & set(b.split()) or a == b


@given(texts)
def test_one_word_more_makes_a_long_text_little_different(text):
    n = len(text.split())
    assert n == 0 or similarity(text, f"{text} d") == pytest.approx(2 * n / (2 * n + 1))


def longest_common(a: list[str], b: list[str]) -> int:
    """The textbook recurrence, row by row."""
    row = [0] * (len(b) + 1)
    for x in a:
        last = 0
        for j, y in enumerate(b, start=1):
            last, row[j] = row[j], (last + 1 if x == y else max(row[j], row[j - 1]))
    return row[-1]


@given(st.text(alphabet="ab .,x!東京", max_size=25), st.text(alphabet="ab .,x!東京", max_size=25))
def test_similarity_is_what_the_longest_common_run_of_words_gives(a, b):
    left, right = tokens(a), tokens(b)
    total = len(left) + len(right)
    expected = 2 * longest_common(left, right) / total if total else 1
    assert similarity(a, b) == pytest.approx(expected)
    assert similarity(a, b, at_least=0.5) == (pytest.approx(expected) if expected >= 0.5 else 0)


def test_words_are_counted_in_scripts_without_spaces_too():
    """Else a Japanese answer would be one word, and no two of them ever nearly the same."""
    assert tokens("東京は大きい") == list("東京は大きい")
    assert tokens("Ask: what's x_1 --- now?!") == [
        *("Ask", ":", "what", "'", "s", "x_1", "---", "now", "?", "!")
    ]
    near = "緑茶は日本でとても人気のある飲み物で毎日たくさんの人が飲んでいます"
    assert drops_of(near, near.replace("毎日", "毎朝"))[near.replace("毎日", "毎朝")] in (
        None,
        Drop.NEAR_DUPLICATE,
    )
    assert similarity(near, near.replace("毎日", "毎朝")) > 0.9


def test_more_different_words_than_one_plane_of_characters_holds_stay_apart():
    """Tokens are encoded as characters; surrogates are jumped over."""
    words = [f"w{i}" for i in range(60_000)]
    assert similarity(" ".join(words), " ".join(words[:30_000])) == pytest.approx(2 / 3)
    assert Indel.normalized_similarity("\ud7ff", "\ue000") == 0


@pytest.mark.parametrize(
    "text",
    [
        "I like it. " * 20,
        f"{TEA}. " + "It is a great tool. " * 8,
        f"{TEA}. " * 5,
        "Let me think.\n" + "wait, " * 30,
        "\n".join(f"- I'm {w} using it for my project." for w in ["thinking", "sure"] * 12),
        "問題はありません。" * 10,
    ],
)
def test_an_answer_that_goes_round_in_circles_is_found(text):
    assert looping(tokens(normalised(text)))


@pytest.mark.parametrize(
    "text",
    [
        TEA,
        "Ha ha ha! No.",
        "No, no, no, no, no!",
        "| a | b |\n|---|---|\n" + "\n".join(f"| row {i} | {i * i} |" for i in range(9)),
        "```\n" + "\n".join(f"def f{i}(x):\n    return x + {i}\n" for i in range(6)) + "```",
        "[" + ", ".join(f'{{"planet": "P{i}", "moons": {i * 3}}}' for i in range(12)) + "]",
        "| E7 | A7 | E7 | E7 |\n| A7 | A7 | E7 | E7 |\n| B7 | A7 | E7 | B7 |",
        "Title\n" + "=" * 70 + "\nText.\n" + "-" * 70,
        "\n".join(f"{i} times 7 is {7 * i}" for i in range(1, 13)),
        "Row, row, row your boat, gently down the stream. Merrily, merrily, merrily, merrily.",
    ],
)
def test_lists_tables_code_and_emphasis_are_no_loops(text):
    assert not looping(tokens(normalised(text)))


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that.",
        "I’m sorry, but I cannot fulfill this request.",
        "As an AI language model, I am not able to have opinions.",
        "I cannot help with that request.",
        '"Sorry, I can\'t do that."',
        "I apologize, but I'm unable to provide this information.",
        "Unfortunately, I will not be able to answer; I am not allowed to.",
    ],
)
def test_a_stock_refusal_is_recognised(text):
    assert stock_refusal(normalised(text))


@pytest.mark.parametrize(
    "text",
    [
        "I can help with that: first boil water.",
        "I'm sorry to hear that. Talk to a friend.",
        "You can't write to a tuple, since it is immutable.",
        "As an AI, I enjoy this question. Tea is a drink.",
        "I can't help you build that, because it hurts people. " + TEA * 3,
    ],
)
def test_an_answer_that_says_something_is_no_stock_refusal(text):
    assert not stock_refusal(normalised(text))


def test_other_refusals_can_be_named():
    german = "Es tut mir leid, dabei kann ich nicht helfen."
    assert drops_of(german)[german] is None
    named = Filters(near_duplicate=0.9, refusals=("Es tut mir  LEID",))
    assert drops_of(german, filters=named)[german] is Drop.REFUSED


def test_a_response_with_several_faults_counts_once_and_what_shall_be_shown_is():
    cut = {"finish_reason": FinishReason.LENGTH}
    refusal, loop = "I'm sorry, but I can't assist with that.", "I like it. " * 20
    responses = [
        answer("", 0, **cut),
        answer(loop, 1, **cut),
        answer(refusal, 2),
        answer(TEA, 3),
        answer(TEA.upper(), 4),
    ]
    kept, dropped = usable(responses, PLAIN)
    assert [r.text.casefold() for r in kept] == [TEA]
    assert dropped == {Drop.EMPTY: 1, Drop.TRUNCATED: 1, Drop.REFUSED: 1, Drop.DUPLICATE: 1}

    show = frozenset({Drop.TRUNCATED, Drop.REFUSED})
    assert usable(responses, Filters(near_duplicate=0.9, show=show))[1] == {
        Drop.EMPTY: 1,
        Drop.LOOPING: 1,
        Drop.DUPLICATE: 1,
    }


@given(st.lists(st.sampled_from(["", TEA, TEA + "!", "a b", "A  b", "c", "x " * 40]), max_size=9))
def test_every_response_is_kept_or_left_out_once_and_nothing_kept_repeats(found):
    responses = [answer(text, i) for i, text in enumerate(found)]
    sifted = sift(responses, PLAIN)
    assert sorted(s.response.id for s in sifted) == sorted(r.id for r in responses)
    kept = [normalised(s.response.text) for s in sifted if s.drop is None]
    assert all(
        similarity(a, b) < PLAIN.near_duplicate for i, a in enumerate(kept) for b in kept[:i]
    )
    assert sift(responses[::-1], PLAIN) == sifted


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data folder is not here")
def test_sound_answers_of_strong_models_are_hardly_ever_left_out():
    """Of 560 answers of seven models to the Vicuna prompts; weak models' loops are found elsewhere."""
    rows = pq.read_table(DATA / "prompts_responses_vicuna80.parquet").to_pylist()
    faulty = [r for r in rows if looping(tokens(normalised(r["response"])))]
    faulty += [r for r in rows if stock_refusal(normalised(r["response"]))]
    assert len(rows) == 560
    assert len(faulty) <= 3


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data folder is not here")
def test_loops_of_real_weak_models_are_found():
    rows = pq.read_table(DATA / "llmfao_responses.parquet").to_pylist()
    found = [r for r in rows if r["response"] and looping(tokens(normalised(r["response"])))]
    assert 80 <= len(found) <= 110  # of 1,108; of 20 read by hand 19 go in circles
