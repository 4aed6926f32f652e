"""Prompts from files: JSONL, CSV, Parquet, or a Hub dataset (`hf:owner/name`).

One row is one conversation that waits for an answer, for example
    {"prompt": "What is tea?", "tags": ["kitchen"]}
    {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]}
Columns of other names are mapped: {"prompt": "question"} reads the column question as prompt.
Every bad row of every file is reported in one error and nothing is stored.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from generate.rows import Row, parse_json, rows
from storage.errors import InputError
from storage.prompts import normalised
from storage.records import Message, Prompt, Split
from storage.words import many

ROLES = ("system", "user", "assistant")
KEYS = ("prompt", "messages", "system", "tags", "source")
SHAREGPT_ROLES = {"human": "user", "gpt": "assistant"}
NO_COLUMNS: Mapping[str, str] = {}
MAX_REPORTED = 50
REPORTED_ALIKE = 3
_ROW = re.compile(r", (line|row) \d+: ")
HALF = "holds half of a surrogate pair, which is no character"


def split_of(messages: Sequence[Message], *, validation_share: float, test_share: float) -> Split:
    """The prompt's split in every round: a hash of its normalised text as a number in [0, 1)."""
    digest = hashlib.sha256(normalised(messages).encode("utf-8", "surrogatepass")).digest()
    point = int.from_bytes(digest[:8]) / 2**64
    if point < test_share:
        return Split.TEST
    if point < test_share + validation_share:
        return Split.VALIDATION
    return Split.TRAIN


def read_prompts(
    sources: Sequence[str],
    *,
    validation_share: float,
    test_share: float,
    now: datetime,
    skip_duplicates: bool = False,
    columns: Mapping[str, str] = NO_COLUMNS,
) -> list[Prompt]:
    """Every prompt of the files; raises InputError that lists each bad or repeated row.

    columns: by key (KEYS), the name of the column to read instead.
    """
    found: list[Prompt] = []
    problems: list[str] = []
    first_seen: dict[str, str] = {}
    for source in sources:
        count, unseen = 0, set(columns.values())
        for row in rows(source):
            count += 1
            unseen -= row.values.keys() | row.empty
            values, problem = mapped(row, columns)
            if not problem:
                messages, problem = messages_of(values)
            tags, other_problem = tags_of(values.get("tags"))
            name = str(values.get("source") or Path(source).name)
            if broken(name):
                other_problem = f"'source' {HALF}"
            problem = problem or other_problem
            if problem:
                problems.append(f"{row.where}: {problem}")
                continue
            key = normalised(messages)
            if key in first_seen:
                if not skip_duplicates:
                    problems.append(f"{row.where}: the same prompt as {first_seen[key]}")
                continue
            first_seen[key] = row.where
            found.append(
                Prompt(
                    id=Prompt.id_of(messages),
                    messages=tuple(messages),
                    source=name,
                    split=split_of(
                        messages, validation_share=validation_share, test_share=test_share
                    ),
                    tags=tags,
                    created_at=now,
                )
            )
        if count == 0:
            problems.append(f"{source}: the file holds no prompts")
        else:
            missing = (f"{key}={name}" for key, name in columns.items() if name in unseen)
            problems += [f"{source}: no row has the column of --map {pair}" for pair in missing]
    if problems:
        raise refusal(
            problems,
            len(problems),
            hint="Repeated prompts alone can be left out with --skip-duplicates.",
        )
    return found


def refusal(problems: Sequence[str], count: int, *, hint: str = "") -> InputError:
    """One error for every row that can't be used; problems may be only the first of them.

    Of more than anyone reads, what is wrong alike in one file is shown REPORTED_ALIKE times.
    """
    shown = list(problems)
    if count > MAX_REPORTED:
        alike = Counter[str]()
        shown = []
        for problem in problems:
            alike[kind := _ROW.sub(": ", problem, count=1)] += 1
            if alike[kind] <= REPORTED_ALIKE and len(shown) < MAX_REPORTED:
                shown.append(problem)
    rest = f"\n... and {count - len(shown):,} more." if count > len(shown) else ""
    lines = "\n".join(shown)
    return InputError(
        f"{many(count, 'row')} can't be used, so nothing was stored:\n{lines}{rest}\n"
        f"Mend or remove them, then run this again. {hint}".rstrip()
    )


def mapped(row: Row, columns: Mapping[str, str]) -> tuple[Mapping[str, Any], str]:
    """The row's values under our keys, or what is wrong with it.

    Where one of prompt and messages is mapped, a column named as the other is not read.
    """
    if row.problem or not columns:
        return row.values, row.problem
    either = {"prompt", "messages"}
    unread = either if either & columns.keys() else set()
    values = {k: v for k, v in row.values.items() if k in KEYS and k not in unread}
    for key, name in columns.items():
        if key in either and name not in row.values.keys() | row.empty:
            have = ", ".join(map(str, row.values)) or "nothing"
            return {}, f"has no column {name!r} (--map {key}={name}); it has {have}"
        values[key] = row.values.get(name)
        if key == "messages" and isinstance(values[key], str):  # a CSV's cell, or JSON in Parquet
            values[key], problem = parse_json(values[key])
            if problem:
                return {}, f"{name!r} is {problem}"
    return values, ""


def columns_of(pairs: Sequence[str]) -> dict[str, str]:
    """KEY=COLUMN of the command line; raises InputError for anything else."""
    columns = {}
    for pair in pairs:
        key, _, name = pair.partition("=")
        if key not in KEYS or not name or key in columns:
            raise InputError(
                f"--map {pair} can't be used: give KEY=COLUMN, each KEY once, where KEY is one of "
                f"{', '.join(KEYS)}."
            )
        columns[key] = name
    if {"prompt", "messages"} <= columns.keys():
        raise InputError("--map takes prompt or messages, not both.")
    return columns


def messages_of(values: Mapping[str, Any]) -> tuple[list[Message], str]:
    """The conversation, or what is wrong with it."""
    prompt, turns, system = (values.get(k) for k in ("prompt", "messages", "system"))
    if isinstance(prompt, list) and turns is None:
        prompt, turns = None, prompt
    if (prompt is None) == (turns is None):
        have = ", ".join(map(str, values)) or "nothing"
        return [], f"needs either 'prompt' (text) or 'messages' (a list of turns); it has {have}"
    if turns is None:
        if not isinstance(prompt, str):
            return [], f"'prompt' must be text, not {type(prompt).__name__}"
        turns = [{"role": "user", "content": prompt}]
    if not isinstance(turns, list):
        return [], f"'messages' must be a list of turns, not {type(turns).__name__}"
    if system:
        turns = [{"role": "system", "content": system}, *turns]
    messages = []
    for number, turn in enumerate(turns, start=1):
        if isinstance(turn, Mapping) and {"from", "value"} <= turn.keys():  # ShareGPT's form
            role, content = SHAREGPT_ROLES.get(turn["from"], turn["from"]), turn["value"]
        elif isinstance(turn, Mapping) and {"role", "content"} <= turn.keys():
            role, content = turn["role"], turn["content"]
        else:
            return [], f"turn {number} needs 'role' and 'content'"
        if role not in ROLES:
            return [], f"turn {number} has role {role!r}; known roles: {', '.join(ROLES)}"
        if not isinstance(content, str) or not content.strip():
            return [], f"turn {number} ({role}) has no text"
        if broken(content):
            return [], f"turn {number} ({role}) {HALF}"
        messages.append(Message(role=role, content=content))
    if not messages or messages[-1].role != "user":
        return [], "the last turn must be the user's: that is what the model answers"
    return messages, ""


def tags_of(value: object) -> tuple[tuple[str, ...], str]:
    if value is None or value == "":
        return (), ""
    if isinstance(value, str):
        value = [tag.strip() for tag in value.split(",") if tag.strip()]
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        return (), "'tags' must be a list of words, or one text with commas"
    if any(map(broken, value)):
        return (), f"'tags' {HALF}"
    return tuple(value), ""


def broken(text: str) -> bool:
    """Whether a text holds what JSON can write and no encoding can: one half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
