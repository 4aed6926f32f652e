"""Typed values out of a row, each with a sentence for what is wrong with it.

Raises BadRowError; `each_row` turns it into a Problem at the row's place, so that a layout reads as if every
row were right.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache

from generate.prompts import HALF, broken, messages_of
from generate.rows import Row, parse_json
from pairloop.imports.found import Choice, Found, Problem
from storage.records import LabelerKind, Message, Strength

_CHOICES: Mapping[str, Choice] = {
    **dict.fromkeys(["a", "modela", "responsea", "answera", "left", "leftvote", "first"], Choice.A),
    **dict.fromkeys(
        ["b", "modelb", "responseb", "answerb", "right", "rightvote", "second"], Choice.B
    ),
    **dict.fromkeys(["tie", "tievote", "equal", "same", "draw", "bothgood"], Choice.TIE),
    **dict.fromkeys(["bothbad", "tiebothbad", "bothbadvote", "neither"], Choice.BOTH_BAD),
}
_STRENGTHS: Mapping[str, Strength] = {
    "slight": Strength.SLIGHT,
    "clear": Strength.CLEAR,
    "strong": Strength.STRONG,
    "1": Strength.SLIGHT,
    "2": Strength.CLEAR,
    "3": Strength.STRONG,
}
# Only names that no person has: a family, then a version or size.
_MODEL_NAMES = re.compile(
    r"(chatgpt|gpt-?\d|claude-(\d|v\d|instant|opus|sonnet|haiku)|gemini-(\d|pro|ultra|flash)"
    r"|(llama|mistral|mixtral|qwen|deepseek)-?v?\d)",
    re.IGNORECASE,
)
_MAX_NAME_CHARS = 200
_SECONDS = re.compile(r"\d{9,}(\.\d*)?")  # shorter ones are years and dates: 20260131
_LAST_SECOND = datetime(2200, 1, 1, tzinfo=UTC).timestamp()


class BadRowError(Exception):
    """A row can't be understood; the message says why."""


def each_row(read: Callable[[Row], Iterable[Found]]) -> Callable[[Iterator[Row]], Iterator[Found]]:
    """A reader of all rows from a reader of one: its BadRowError becomes a Problem there."""

    def all_rows(found: Iterator[Row]) -> Iterator[Found]:
        for row in found:
            yield from safely(read, row)

    return all_rows


def safely(read: Callable[[Row], Iterable[Found]], row: Row) -> list[Found]:
    """What one row gives, or its problem."""
    if row.problem:
        return [Problem(where=row.where, says=row.problem)]
    try:
        return list(read(row))
    except BadRowError as error:
        return [Problem(where=row.where, says=str(error))]


def text(values: Mapping[str, object], name: str) -> str:
    """A text that must be there; "" is a text."""
    value = values.get(name)
    if value is None:
        have = ", ".join(map(repr, values)) or "nothing"
        raise BadRowError(f"needs {name!r}; it has {have[:300]}")
    if not isinstance(value, str):
        raise BadRowError(f"{name!r} must be text, not {type(value).__name__}")
    if not value.isascii() and broken(value):
        raise BadRowError(f"{name!r} {HALF}")
    return value


def clean(value: str, name: str) -> str:
    """A text made of other texts, refused where it could not be stored."""
    if broken(value):
        raise BadRowError(f"{name!r} {HALF}")
    return value


def optional_text(values: Mapping[str, object], name: str, default: str = "") -> str:
    """A text that may be missing; numbers are taken as they are written."""
    value = values.get(name)
    if value is None or value == "":
        return default
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return text(values, name)


def person(values: Mapping[str, object], name: str) -> str:
    """Who judged: a name or a number."""
    who = optional_text(values, name).strip()
    if not who:
        text(values, name)
        raise BadRowError(f"{name!r} is empty: who voted?")
    return usable_name(who, name)


@lru_cache(maxsize=10_000)
def usable_name(who: str, name: str) -> str:
    """The name, refused where it could not be shown."""
    if len(who) > _MAX_NAME_CHARS or any(ord(c) < 32 for c in who):
        raise BadRowError(f"{name!r} is no name: up to {_MAX_NAME_CHARS} printable characters")
    return who


@lru_cache(maxsize=10_000)
def kind_of_labeler(who: str, stated: str = "") -> LabelerKind:
    """Whether a person or a model judged; by its name only where the file does not say."""
    if stated:
        if stated.strip().lower() not in list(LabelerKind):
            raise BadRowError(f"'annotator_kind' is {stated!r}; known: {', '.join(LabelerKind)}")
        return LabelerKind(stated.strip().lower())
    return LabelerKind.MODEL if _MODEL_NAMES.match(who) else LabelerKind.HUMAN


@lru_cache(maxsize=1000)
def choice_of(word: str) -> Choice | None:
    """What a word for a choice means, None where it is none."""
    return _CHOICES.get(re.sub(r"[\s_()\-]+", "", word).lower())


def choice(values: Mapping[str, object], name: str) -> Choice:
    """The choice a row states; raises with the known words."""
    word = text(values, name)
    found = choice_of(word)
    if found is None:
        raise BadRowError(f"{name!r} is {word[:40]!r}; known: a, b, tie, both_bad")
    return found


def strength(values: Mapping[str, object], name: str, chosen: Choice) -> Strength | None:
    """How much better; none for a tie, which has no better answer."""
    word = optional_text(values, name).strip().lower().removesuffix(".0")
    if not word:
        return None
    if word not in _STRENGTHS:
        raise BadRowError(f"{name!r} is {word[:40]!r}; known: slight, clear, strong, or 1 to 3")
    return _STRENGTHS[word] if chosen in (Choice.A, Choice.B) else None


def number(values: Mapping[str, object], name: str) -> float | None:
    """A finite number, None where there is none."""
    value = values.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadRowError(f"{name!r} must be a number, not {type(value).__name__}")
    try:
        found = float(value)
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise BadRowError(f"{name!r} is no number: {str(value)[:40]!r}")
    return found


def seconds(values: Mapping[str, object], name: str) -> float:
    """Time taken, 0 where it is not known."""
    found = number(values, name)
    if found is not None and found < 0:
        raise BadRowError(f"{name!r} is less than nothing: {found:g}")
    return found or 0.0


def moment(values: Mapping[str, object], name: str) -> datetime | None:
    """A time as stored (naive, UTC), from ISO 8601, a date-time or seconds since 1970."""
    value = values.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and _SECONDS.fullmatch(value.strip()):  # a CSV has no numbers
        value = float(value)
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 <= value < _LAST_SECOND:
            raise BadRowError(f"{name!r} is no time in seconds since 1970: {value}")
        found = datetime.fromtimestamp(value, UTC)
    else:
        written = text(values, name)
        try:
            found = datetime.fromisoformat(written.strip())
        except ValueError:
            raise BadRowError(
                f"{name!r} is no time: {written[:40]!r}; write it as 2026-01-31T12:00:00, or in "
                "seconds since 1970"
            ) from None
    try:
        return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
    except OverflowError:
        raise BadRowError(f"{name!r} is no usable time: {found}") from None


def mapping(values: Mapping[str, object], name: str) -> Mapping[str, object]:
    """An object inside the row."""
    value = values.get(name)
    if not isinstance(value, Mapping):
        raise BadRowError(f"needs {name!r} as an object, not {type(value).__name__}")
    return value


def objects(values: Mapping[str, object], name: str) -> list[Mapping[str, object]]:
    """A list of objects inside the row."""
    value = values.get(name)
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise BadRowError(f"needs {name!r} as a list of objects")
    return value


def conversation(values: Mapping[str, object]) -> tuple[Message, ...]:
    """The prompt: `prompt`, `messages`, optionally `system`, as in a file of prompts."""
    prompt = values.get("prompt")
    if isinstance(prompt, str) and values.get("messages") is None and not values.get("system"):
        return _one_question(prompt)
    keep = {k: values[k] for k in ("prompt", "messages", "system") if values.get(k) is not None}
    if isinstance(keep.get("messages"), str):
        keep["messages"], problem = parse_json(str(keep["messages"]))
        if problem:
            raise BadRowError(f"'messages' is {problem}")
    if keep.get("messages") and isinstance(keep.get("prompt"), str):
        del keep["prompt"]  # tables often repeat the last turn beside the whole conversation
    found, problem = messages_of(keep)
    if problem:
        raise BadRowError(problem)
    return tuple(found)


@lru_cache(maxsize=1000)
def _one_question(prompt: str) -> tuple[Message, ...]:
    found, problem = messages_of({"prompt": prompt})
    if problem:
        raise BadRowError(problem)
    return tuple(found)


def turns(values: Mapping[str, object], name: str) -> tuple[Message, ...]:
    """A whole conversation, answers included."""
    found = []
    for at, turn in enumerate(objects(values, name), start=1):
        role, content = turn.get("role"), turn.get("content")
        if role not in ("system", "user", "assistant"):
            raise BadRowError(f"turn {at} of {name!r} has role {str(role)[:40]!r}")
        if not isinstance(content, str):
            raise BadRowError(f"turn {at} of {name!r} has no text")
        if broken(content):
            raise BadRowError(f"turn {at} of {name!r} {HALF}")
        found.append(Message(role=str(role), content=content))
    return tuple(found)
