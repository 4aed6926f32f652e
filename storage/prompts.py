"""Reading prompts."""

import unicodedata
from collections.abc import Iterator, Sequence
from typing import TypeVar

from storage.records import Message, Prompt, Split
from storage.store import Store

T = TypeVar("T")

PORTION = 1024


def normalised(messages: Sequence[Message]) -> str:
    """Text by which prompts are the same and by which they are split: case, form and space aside."""
    turns = (f"{m.role}: {' '.join(m.content.split())}" for m in messages)
    return unicodedata.normalize("NFKC", "\n".join(turns)).casefold()


def prompts(store: Store) -> list[Prompt]:
    """Every prompt, oldest first."""
    return store.read(Prompt, "prompts_all")


def prompt_ids(store: Store) -> set[str]:
    """Ids of the prompts already stored."""
    return {str(row["id"]) for row in store.query("prompt_ids")}


def prompt_ids_of(store: Store, *splits: Split) -> list[str]:
    """Ids of the prompts of these splits, oldest first."""
    found = store.table("prompt_ids_of_splits", splits=[split.value for split in splits])
    ids: list[str] = found["id"].to_pylist()
    return ids


def split_by_prompt(store: Store) -> dict[str, Split]:
    """The split of every prompt, by id."""
    table = store.table("prompt_splits")
    splits = {split.value: split for split in Split}
    columns = (table[name].to_pylist() for name in ("id", "split"))
    return {prompt_id: splits[split] for prompt_id, split in zip(*columns, strict=True)}


def portions(items: Sequence[T], size: int | None = None) -> Iterator[Sequence[T]]:
    """The same items, such as ids, as many at a time as their prompts and answers may take memory.

    size: PORTION unless it is given.
    """
    size = size or PORTION
    for start in range(0, len(items), size):
        yield items[start : start + size]


def prompts_by_id(store: Store, ids: Sequence[str]) -> dict[str, Prompt]:
    """The stored prompts among these ids."""
    return {p.id: p for p in store.read(Prompt, "prompts_by_ids", ids=sorted(set(ids)))}
