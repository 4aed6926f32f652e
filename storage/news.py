"""What was appended since the last look: rows are numbered in the order they were stored."""

from datetime import datetime

from storage.codec import decode
from storage.records import IMPORTED_VOTES, Judgment, Presentation
from storage.store import Store


def judgments_after(store: Store, row: int) -> list[tuple[int, Judgment]]:
    """People's judgment rows on pairs to label beyond this one, each with its number."""
    found = store.table("judgments_after", after=row, imported=IMPORTED_VOTES)
    return list(zip(found["row"].to_pylist(), decode(Judgment, found), strict=True))


def presentations_after(
    store: Store, row: int, *, since: datetime
) -> list[tuple[int, Presentation]]:
    """Showings beyond this row, each with its number; one that is renewed comes again."""
    found = store.table("presentations_after", after=row, since=since)
    return list(zip(found["row"].to_pylist(), decode(Presentation, found), strict=True))
