"""Prompts that occur in a given list, such as a benchmark's questions. Pure but for read_texts.

The rule is GPT-3's (arXiv 2005.14165, appendix C): a prompt is contaminated when it shares a run of
LONG words with a text of the list. A listed text of SHORT to LONG words must occur whole; a still
shorter one, and a prompt shorter than SHORT words, must be the same. Case, white space and marks do
not count.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from generate.filters import normalised, tokens
from generate.near import text_of
from generate.prompts import refusal
from generate.rows import rows
from storage.records import Prompt

LONG = 13
SHORT = 8


def read_texts(sources: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(where it stands, text) of every text in every row; raises InputError with each bad row."""
    problems = []
    for source in sources:
        for row in rows(source):
            if row.problem:
                problems.append(f"{row.where}: {row.problem}")
            for text in _texts(row.values):
                yield row.where, text
    if problems:
        raise refusal(problems, len(problems))


def contaminated(
    prompts: Sequence[Prompt], listed: Iterable[tuple[str, str]]
) -> dict[str, tuple[str, str]]:
    """By id of a prompt in the list: where in the list, and the words they share."""
    where: dict[tuple[str, ...], str] = {}
    lengths = set()
    whole: dict[tuple[str, ...], str] = {}
    for place, text in listed:
        words = _words(normalised(text))
        whole.setdefault(words, place)
        if len(words) >= SHORT:
            length = min(LONG, len(words))
            lengths.add(length)
            for run in _runs(words, length):
                where.setdefault(run, place)
    found = {}
    for prompt in prompts:
        words = _words(text_of(prompt.messages))
        runs = (run for length in sorted(lengths, reverse=True) for run in _runs(words, length))
        hit = next((run for run in runs if run in where), None)
        if hit is not None:
            found[prompt.id] = (where[hit], " ".join(hit))
        elif words and words in whole:
            found[prompt.id] = (whole[words], " ".join(words))
    return found


def _runs(words: tuple[str, ...], length: int) -> Iterator[tuple[str, ...]]:
    return (words[i : i + length] for i in range(len(words) - length + 1))


def _words(text: str) -> tuple[str, ...]:
    return tuple(token for token in tokens(text) if token[0].isalnum())


def _texts(value: Any) -> Iterator[str]:
    """Every text in a row, however deep."""
    match value:
        case str():
            yield value
        case Mapping():
            for part in value.values():
                yield from _texts(part)
        case list() | tuple():
            for part in value:
                yield from _texts(part)
