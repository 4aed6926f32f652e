"""Reading the activity trail page by page."""

from typing import Any

from storage.store import Store
from storage.team_records import Activity


def activities_page(
    store: Store, *, actor: str | None, action: str | None, count: int, skip: int
) -> list[Activity]:
    """Entries by this person and of this kind (None for all), newest first."""
    return store.read(
        Activity, "activities_page", actor=actor, action=action, count=count, skip=skip
    )


def activity_kinds(store: Store) -> tuple[list[str], list[str]]:
    """The people in the trail, and the kinds of entries."""
    row: dict[str, Any] = store.query("activity_kinds")[0]
    return list(row["actors"] or []), list(row["actions"] or [])
