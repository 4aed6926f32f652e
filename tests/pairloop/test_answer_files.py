"""Benchmarks' questions in and answer files out, in the very form that those tools read."""

import json
import re

import pytest
from factories import make_prompt

from pairloop.answer_files import (
    AlpacaEval,
    Answer,
    MtBench,
    Question,
    instructions_of,
    read_instructions,
    read_questions,
)
from storage.errors import InputError
from storage.records import Message

QUESTIONS = [
    {"question_id": 3, "category": "writing", "turns": ["Write about tea.", "Now shorter."]},
    {"question_id": 1, "category": "math", "turns": ["What is 2 + 2?", "And 3 more?"]},
    {"question_id": 2, "category": "gardens", "turns": ["Which rose?", "Why?"], "reference": []},
]


def lines_of(rows) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def said(*turns: str) -> Answer:
    return Answer(turns=turns, reasons=("stop",) * len(turns), at=1700000000.5)


def test_questions_are_read_with_the_temperature_of_their_category(tmp_path):
    path = tmp_path / "question.jsonl"
    path.write_text(lines_of(QUESTIONS))
    asked = read_questions(path).asked
    assert [(q.number, q.category, q.temperature) for q in asked] == [
        (3, "writing", 0.7),
        (1, "math", 0.0),
        (2, "gardens", 0.7),
    ]
    assert asked[0].turns == ("Write about tea.", "Now shorter.")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{", "line 2: not JSON"),
        ({"category": "math", "turns": ["a"]}, "line 2: 'question_id' must be a whole number"),
        ({"question_id": 3, "category": "math", "turns": ["a"]}, "3 again, as in .*line 1"),
        ({"question_id": 4, "turns": ["a"]}, "line 2: 'category' must be a text"),
        ({"question_id": 4, "category": "math", "turns": []}, "line 2: 'turns' must be a list"),
        ({"question_id": 4, "category": "math", "turns": ["a", 5]}, "line 2: 'turns' must be"),
    ],
    ids=["json", "number", "twice", "category", "no-turns", "turn"],
)
def test_a_bad_question_is_named_with_its_file_and_line(tmp_path, row, problem):
    path = tmp_path / "question.jsonl"
    path.write_text(lines_of(QUESTIONS[:1]) + (row if isinstance(row, str) else json.dumps(row)))
    with pytest.raises(InputError) as error:
        read_questions(path)
    assert str(path) in str(error.value)
    assert re.search(problem, str(error.value))


def test_instructions_are_read_from_alpaca_evals_own_file(tmp_path):
    path = tmp_path / "alpaca_eval.json"
    path.write_text(
        json.dumps(
            [{"dataset": "d", "instruction": t, "output": "", "generator": "g"} for t in "ab"]
        )
    )
    asked = read_instructions(path, temperature=0.3).asked
    assert [(q.turns, q.temperature) for q in asked] == [(("a",), 0.3), (("b",), 0.3)]

    path.write_text(
        '[{"instruction": "a"},\n {"instruction": ""},\n {"instruction": "b", "input": "x"}]'
    )
    with pytest.raises(InputError, match=r"(?s)line 2: 'instruction'.*line 3: has an 'input'"):
        read_instructions(path, temperature=0.3)
    path.write_text("[]")
    with pytest.raises(InputError, match="holds no questions"):
        read_instructions(path, temperature=0.3)


def test_prompts_that_alpaca_eval_could_not_show_are_counted():
    system, user, answer = (Message(role=r, content=r) for r in ("system", "user", "assistant"))
    prompts = [
        make_prompt("What is tea?"),
        make_prompt(messages=(system, user)),
        make_prompt(messages=(user, answer, user)),
    ]
    found = instructions_of(prompts, temperature=0.7)
    assert [q.turns for q in found.asked] == [("What is tea?",)]
    assert found.left_out == {"with a system turn": 1, "of several turns": 1}


def test_alpaca_evals_file_is_a_list_of_instruction_output_and_generator(tmp_path):
    question = Question(turns=("What is tea? é",), temperature=0.7)
    path = AlpacaEval(tmp_path / "out").write("round-1", [(question, said("A drink. \ud800"))])
    assert path == tmp_path / "out" / "round-1.json"
    assert json.loads(path.read_text()) == [
        {"instruction": "What is tea? é", "output": "A drink. ?", "generator": "round-1"}
    ]
    assert [p.name for p in path.parent.iterdir()] == ["round-1.json"]


def test_mt_benchs_file_is_what_fastchat_loads(tmp_path):
    """As fastchat/llm_judge/common.py reads it: load_model_answers, then choices[0]["turns"][turn]."""
    questions = [Question(turns=("a", "b"), temperature=0, number=n) for n in (82, 81)]
    path = MtBench(tmp_path).write("round-1", [(q, said("one", "two")) for q in questions])
    rows = [json.loads(line) for line in path.read_text().splitlines()]

    assert path == tmp_path / "model_answer" / "round-1.jsonl"
    assert [row["question_id"] for row in rows] == [81, 82]
    assert [row["choices"][0]["turns"] for row in rows] == [["one", "two"]] * 2
    assert set(rows[0]) == {"question_id", "answer_id", "model_id", "choices", "tstamp"}
    assert (rows[0]["model_id"], rows[0]["tstamp"]) == ("round-1", 1700000000.5)
    assert rows[0]["answer_id"] != rows[1]["answer_id"]
