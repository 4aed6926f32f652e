"""Answers as AlpacaEval and MT-Bench read them: their questions in, their answer files out.

AlpacaEval (github.com/tatsu-lab/alpaca_eval) reads one JSON list per policy,
    [{"instruction": "What is tea?", "output": "A drink.", "generator": "round-1"}]
MT-Bench (github.com/lm-sys/FastChat, fastchat/llm_judge) asks in question.jsonl
    {"question_id": 81, "category": "writing", "turns": ["Write about tea.", "Now shorter."]}
and reads answers from model_answer/NAME.jsonl
    {"question_id": 81, "answer_id": "a1:..", "model_id": "round-1",
     "choices": [{"index": 0, "turns": ["..", ".."]}], "tstamp": 1700000000.0}
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeGuard

from generate.prompts import refusal
from generate.rows import rows
from storage.records import Prompt, content_id

# FastChat, fastchat/llm_judge/common.py: temperature_config; any other category gets 0.7
# (gen_model_answer.py), where --max-new-token is 1024 by default.
MT_BENCH_TEMPERATURES: Mapping[str, float] = {
    "writing": 0.7,
    "roleplay": 0.7,
    "extraction": 0.0,
    "math": 0.0,
    "coding": 0.0,
    "reasoning": 0.0,
    "stem": 0.1,
    "humanities": 0.1,
}
OTHER_TEMPERATURE = 0.7
MT_BENCH_TOKENS = 1024
ALPACA_EVAL_TOKENS = 2048  # as AlpacaEval's own settings of local models, at temperature 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a policy is asked, turn by turn. number, category: MT-Bench's own, else 0 and ""."""

    turns: tuple[str, ...]
    temperature: float
    number: int = 0
    category: str = ""

    @property
    def key(self) -> str:
        """The same for the same question, so that its answer is found again."""
        return content_id("q1", [self.number, self.turns, self.temperature])


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """All of them in the file's order, and what could not be taken, by reason."""

    asked: Sequence[Question]
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a policy said, turn by turn. reasons: why each turn ended; seconds since 1970."""

    turns: tuple[str, ...]
    reasons: tuple[str, ...]
    at: float


def read_instructions(path: Path, *, temperature: float) -> Questions:
    """AlpacaEval's instructions (JSON or JSONL); raises InputError naming each bad row's line."""
    asked, problems = [], []
    for where, values, problem in _found(path):
        text, rest = values.get("instruction"), values.get("input")
        if problem:
            problems.append(f"{where}: {problem}")
        elif not isinstance(text, str) or not text.strip():
            problems.append(f"{where}: 'instruction' must be a text")
        elif rest:
            problems.append(f"{where}: has an 'input'; make it a part of 'instruction'")
        else:
            asked.append(Question(turns=(text,), temperature=temperature))
    return _checked(path, asked, problems)


def instructions_of(prompts: Sequence[Prompt], *, temperature: float) -> Questions:
    """The test prompts that AlpacaEval can show its judge: one turn of a user and nothing else."""
    asked, left_out = [], Counter[str]()
    for prompt in prompts:
        roles = [m.role for m in prompt.messages]
        if roles == ["user"]:
            text = prompt.messages[0].content
            asked.append(Question(turns=(text,), temperature=temperature))
        else:
            left_out["with a system turn" if roles[0] == "system" else "of several turns"] += 1
    return Questions(asked=asked, left_out=left_out)


def read_questions(path: Path) -> Questions:
    """MT-Bench's question.jsonl; raises InputError naming each bad row's line."""
    asked, problems = [], []
    seen: dict[int, str] = {}
    for where, values, problem in _found(path):
        number, turns = values.get("question_id"), values.get("turns")
        category = values.get("category")
        if problem:
            problems.append(f"{where}: {problem}")
        elif not isinstance(number, int) or isinstance(number, bool):
            problems.append(f"{where}: 'question_id' must be a whole number")
        elif number in seen:
            problems.append(f"{where}: question_id {number} again, as in {seen[number]}")
        elif not isinstance(category, str):
            problems.append(f"{where}: 'category' must be a text")
        elif not _texts(turns):
            problems.append(f"{where}: 'turns' must be a list of texts")
        else:
            seen[number] = where
            asked.append(
                Question(
                    turns=tuple(turns),
                    temperature=MT_BENCH_TEMPERATURES.get(category, OTHER_TEMPERATURE),
                    number=number,
                    category=category,
                )
            )
    return _checked(path, asked, problems)


def _found(path: Path) -> Iterator[tuple[str, Mapping[str, object], str]]:
    for row in rows(str(path)):
        yield row.where, row.values, row.problem


def _texts(turns: object) -> TypeGuard[list[str]]:
    return (
        isinstance(turns, list)
        and bool(turns)
        and all(isinstance(turn, str) and turn.strip() for turn in turns)
    )


def _checked(path: Path, asked: Sequence[Question], problems: Sequence[str]) -> Questions:
    if not asked and not problems:
        problems = [f"{path}: the file holds no questions"]
    if problems:
        raise refusal(problems, len(problems))
    return Questions(asked=asked)


@dataclass(frozen=True, slots=True)
class AlpacaEval:
    """Writes FOLDER/NAME.json for each policy."""

    folder: Path
    name = "alpaca-eval"

    def write(self, policy: str, answers: Sequence[tuple[Question, Answer]]) -> Path:
        """One policy's file, replaced whole."""
        listed = [
            {"instruction": question.turns[0], "output": answer.turns[0], "generator": policy}
            for question, answer in answers
        ]
        text = json.dumps(listed, ensure_ascii=False, indent=2) + "\n"
        return write_whole(self.folder / f"{policy}.json", text)

    def next_step(self, policies: Sequence[str]) -> str:
        """How AlpacaEval is started on the files."""
        command = f"alpaca_eval --model_outputs {self.folder / policies[0]}.json"
        if len(policies) > 1:
            command += f" --reference_outputs {self.folder / policies[1]}.json"
        return command


@dataclass(frozen=True, slots=True)
class MtBench:
    """Writes FOLDER/model_answer/NAME.jsonl for each policy."""

    folder: Path
    name = "mt-bench"

    def write(self, policy: str, answers: Sequence[tuple[Question, Answer]]) -> Path:
        """One policy's file, replaced whole; ordered by question as FastChat orders it."""
        lines = [
            json.dumps(
                {
                    "question_id": question.number,
                    "answer_id": content_id("a1", [policy, question.key, answer.turns]),
                    "model_id": policy,
                    "choices": [{"index": 0, "turns": answer.turns}],
                    "tstamp": answer.at,
                },
                ensure_ascii=False,
            )
            for question, answer in sorted(answers, key=lambda pair: pair[0].number)
        ]
        path = self.folder / "model_answer" / f"{policy}.jsonl"
        return write_whole(path, "".join(f"{line}\n" for line in lines))

    def next_step(self, policies: Sequence[str]) -> str:
        """How FastChat's judge is started on the files."""
        mode = "single" if len(policies) == 1 else "pairwise-all"
        return (
            "copy them to data/mt_bench/model_answer of FastChat's llm_judge and run "
            f"gen_judgment.py --mode {mode} --model-list {' '.join(policies)}"
        )


def write_whole(path: Path, text: str) -> Path:
    """Write all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(text.encode("utf-8", "replace"))
    partial.replace(path)
    return path
