"""Reading prompts."""

import unicodedata
from collections.abc import Sequence

from storage.records import Message, Prompt
from storage.store import Store


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


def prompts_by_id(store: Store, ids: Sequence[str]) -> dict[str, Prompt]:
    """The stored prompts among these ids."""
    return {p.id: p for p in store.read(Prompt, "prompts_by_ids", ids=sorted(set(ids)))}
