"""Prompts from files: JSONL, CSV, Parquet, or a Hub dataset (`hf:owner/name`).

One row is one conversation that waits for an answer, for example
    {"prompt": "What is tea?", "tags": ["kitchen"]}
    {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]}
Every bad row of every file is reported in one error and nothing is stored.
"""

import csv
import hashlib
import io
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import InputError
from storage.records import Message, Prompt, Split

ROLES = ("system", "user", "assistant")
KEYS = ("prompt", "messages", "system", "tags", "source")
HUB = "hf:"
MAX_REPORTED = 50
HALF = "holds half of a surrogate pair, which is no character"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row as found: where it stood, and its values or what is wrong with it."""

    where: str
    values: Mapping[str, Any]
    problem: str = ""


def normalised(messages: Sequence[Message]) -> str:
    """Text by which prompts are the same and by which they are split: case, form and space aside."""
    turns = (f"{m.role}: {' '.join(m.content.split())}" for m in messages)
    return unicodedata.normalize("NFKC", "\n".join(turns)).casefold()


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
) -> list[Prompt]:
    """Every prompt of the files; raises InputError that lists each bad or repeated row."""
    found: list[Prompt] = []
    problems: list[str] = []
    first_seen: dict[str, str] = {}
    for source in sources:
        rows = 0
        for row in _rows(source):
            rows += 1
            problem = row.problem
            if not problem:
                messages, problem = _messages(row.values)
            tags, other_problem = _tags(row.values.get("tags"))
            name = str(row.values.get("source") or Path(source).name)
            if _broken(name):
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
        if rows == 0:
            problems.append(f"{source}: the file holds no prompts")
    if problems:
        shown = "\n".join(problems[:MAX_REPORTED])
        more = len(problems) - MAX_REPORTED
        rest = f"\n... and {more} more." if more > 0 else ""
        raise InputError(
            f"{len(problems)} row(s) can't be used, so nothing was stored:\n{shown}{rest}\n"
            "Mend or remove them, then run this again. "
            "Repeated prompts alone can be left out with --skip-duplicates."
        )
    return found


def _rows(source: str) -> Iterator[Row]:
    if source.startswith(HUB):
        yield from _hub_rows(source.removeprefix(HUB))
        return
    path = Path(source)
    if not path.is_file():
        raise InputError(f"{source} is not a file. Give JSONL, CSV or Parquet, or hf:owner/name.")
    match path.suffix.lower():
        case ".jsonl" | ".ndjson" | ".json":
            yield from _jsonl_rows(path)
        case ".csv":
            yield from _csv_rows(path)
        case ".parquet":
            yield from _parquet_rows(path)
        case suffix:
            raise InputError(
                f"{source}: files of kind {suffix or 'without a suffix'} are not read. "
                "Use .jsonl, .csv or .parquet."
            )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}, line {line}: not UTF-8 text (byte 0x{error.object[error.start]:02x}). "
            f"Convert it first, for example `iconv -f latin1 -t utf-8 {path.name}`."
        ) from error


def _jsonl_rows(path: Path) -> Iterator[Row]:
    for number, line in enumerate(_text(path).split("\n"), start=1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            yield Row(
                where=where, values={}, problem=f"not JSON ({error.msg}, column {error.colno})"
            )
            continue
        except ValueError as error:  # a number of thousands of digits
            yield Row(where=where, values={}, problem=f"not usable JSON ({error})")
            continue
        except RecursionError:
            yield Row(where=where, values={}, problem="not usable JSON (nested too deeply)")
            continue
        if isinstance(values, str):
            values = {"prompt": values}
        if isinstance(values, dict):
            yield Row(where=where, values=values)
        else:
            yield Row(where=where, values={}, problem="not an object or a string")


def _csv_rows(path: Path) -> Iterator[Row]:
    # Not splitlines(): it breaks at U+2028, form feeds and the like, which end no row.
    reader = csv.DictReader(io.StringIO(_text(path), newline=""), strict=True)
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # Where the row begins: an open quote is noticed at the end of the file only.
            yield Row(where=f"{path}, line {reader.line_num + 1}", values={}, problem=str(error))
            return
        where = f"{path}, line {reader.line_num}"
        if None in values:
            yield Row(where=where, values={}, problem="more cells than the header has columns")
            continue
        cells = {k: v for k, v in values.items() if v}
        if "messages" in cells:
            try:
                cells["messages"] = json.loads(cells["messages"])
            except json.JSONDecodeError as error:
                yield Row(where=where, values={}, problem=f"messages is not JSON ({error.msg})")
                continue
        yield Row(where=where, values=cells)


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path} is not a readable Parquet file: {error}") from error
    for number, values in enumerate(table.to_pylist(), start=1):
        yield Row(where=f"{path}, row {number}", values=values)


def _hub_rows(name: str) -> Iterator[Row]:
    """`owner/name`, optionally `owner/name:split` (default train)."""
    from datasets import load_dataset

    dataset, _, split = name.partition(":")
    try:
        rows = load_dataset(dataset, split=split or "train")
    except Exception as error:
        raise InputError(
            f"The dataset {dataset!r} can't be loaded: {type(error).__name__}. Check its name, the "
            "network, and for a gated one HF_TOKEN."
        ) from error
    for number, values in enumerate(rows, start=1):
        yield Row(where=f"{HUB}{name}, row {number}", values=values)


def _messages(values: Mapping[str, Any]) -> tuple[list[Message], str]:
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
        if not isinstance(turn, Mapping) or not {"role", "content"} <= turn.keys():
            return [], f"turn {number} needs 'role' and 'content'"
        role, content = turn["role"], turn["content"]
        if role not in ROLES:
            return [], f"turn {number} has role {role!r}; known roles: {', '.join(ROLES)}"
        if not isinstance(content, str) or not content.strip():
            return [], f"turn {number} ({role}) has no text"
        if _broken(content):
            return [], f"turn {number} ({role}) {HALF}"
        messages.append(Message(role=role, content=content))
    if not messages or messages[-1].role != "user":
        return [], "the last turn must be the user's: that is what the model answers"
    return messages, ""


def _tags(value: object) -> tuple[tuple[str, ...], str]:
    if value is None or value == "":
        return (), ""
    if isinstance(value, str):
        value = [tag.strip() for tag in value.split(",") if tag.strip()]
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        return (), "'tags' must be a list of words, or one text with commas"
    if any(map(_broken, value)):
        return (), f"'tags' {HALF}"
    return tuple(value), ""


def _broken(text: str) -> bool:
    """Whether a text holds what JSON can write and no encoding can: one half of a surrogate pair."""
    return any(0xD800 <= ord(c) <= 0xDFFF for c in text)
