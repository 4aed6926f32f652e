"""The diversity report: its figures are the published ones, and it says what users look for."""

import random

import pytest
from factories import make_policy, make_prompt, make_response
from hypothesis import given
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from generate.diversity import bleu, diversity
from generate.filters import Drop, Filters
from storage.records import FinishReason

POLICY = make_policy()
PROMPTS = [make_prompt(f"Question {i}") for i in range(4)]
FILTERS = Filters(near_duplicate=0.9)

words = st.lists(st.sampled_from("abcdef"), min_size=4, max_size=12)


@given(words, st.lists(words, min_size=1, max_size=4))
def test_bleu_is_nltks(hypothesis, references):
    """nltk's method 3 is the smoothing of mteval-v13a, which sacrebleu uses by default."""
    expected = sentence_bleu(references, hypothesis, smoothing_function=SmoothingFunction().method3)
    assert bleu(hypothesis, references) == pytest.approx(expected, abs=1e-9)


def test_bleu_of_short_answers_counts_the_orders_there_are():
    assert bleu(["a"], [["a"]]) == bleu(["a", "b"], [["a", "b"]]) == 1
    assert bleu([], [["a"]]) == bleu(["a"], [["b"]]) == bleu(["a"], [[]]) == 0


def responses(texts: dict[float, list[str]], prompt=PROMPTS[0], **changes):
    return [
        make_response(prompt, POLICY, text, temperature=t, index=i, **changes)
        for t, found in texts.items()
        for i, text in enumerate(found)
    ]


def report(texts: dict[float, list[str]], **changes):
    return diversity({PROMPTS[0].id: responses(texts, **changes)}, FILTERS, seed=0)


def test_a_worked_example():
    found = report({0.7: ["the cat sat", "the cat sat"], 1.3: ["a dog ran", "the cat ran"]})
    cold, hot = found.rows
    assert (cold.answers, cold.prompts, cold.mean_words, cold.sd_words) == (2, 1, 3, 0)
    assert cold.distinct == (3 / 6, 2 / 4, 1 / 2)
    assert (cold.self_bleu, cold.usable_pairs) == (1, 0)
    assert hot.distinct == (5 / 6, 1, 1)
    assert hot.usable_pairs == 1
    assert hot.self_bleu < 0.6
    assert cold.drops == {Drop.DUPLICATE.value: 1}
    assert hot.finish_reasons == {"stop": 2}
    shares = {b.temperatures: (b.pairs, b.usable) for b in found.between}
    assert shares == {(0.7, 0.7): (1, 0), (0.7, 1.3): (4, 1), (1.3, 1.3): (1, 1)}
    assert found.between[0].distance == 0
    assert found.between[2].distance == pytest.approx(1 - 2 * 1 / 6)


def test_one_answer_per_temperature_has_no_pairs_there_but_between():
    found = report({0.7: ["the cat sat"], 1.3: [""]})
    cold, hot = found.rows
    assert (cold.self_bleu, cold.usable_pairs) == (None, None)
    assert hot.distinct == (None, None, None)
    (between,) = found.between
    assert (between.usable, between.distance) == (0, None)


def test_faults_make_pairs_unusable():
    cut = responses({1.0: ["It goes on"]}, finish_reason=FinishReason.LENGTH)
    whole = responses({1.3: ["It ends", "I'm sorry, but I can't assist with that."]})
    found = diversity({PROMPTS[0].id: cut + whole}, FILTERS, seed=0)
    assert {b.temperatures: b.usable for b in found.between} == {(1.0, 1.3): 0, (1.3, 1.3): 0}
    assert [row.drops for row in found.rows] == [{"truncated": 1}, {"refused_template": 1}]


def test_hotter_answers_of_more_words_come_out_more_diverse():
    chance = random.Random(0)
    by_prompt = {
        p.id: responses(
            {
                t: [" ".join(f"w{int(chance.gauss(0, 40 * t))}" for _ in range(20)) for _ in "abc"]
                for t in (0.1, 0.5, 1.0)
            },
            p,
        )
        for p in PROMPTS
    }
    found = diversity(by_prompt, FILTERS, seed=0)
    for name in ("self_bleu", "distinct"):
        values = [getattr(row, name) for row in found.rows]
        assert values == sorted(values, reverse=name == "self_bleu")
    assert (found.prompts, found.compared) == (4, 4)


def test_many_prompts_are_drawn_from_and_the_same_ones_each_time():
    by_prompt = {
        f"p1:{i}": responses({1.0: [f"answer {i}", f"{i} else"]}, PROMPTS[0]) for i in range(1200)
    }
    found = diversity(by_prompt, FILTERS, seed=0)
    assert (found.prompts, found.compared) == (1200, 1000)
    assert found.rows[0].answers == 2400
    assert found == diversity(dict(reversed(by_prompt.items())), FILTERS, seed=0)
