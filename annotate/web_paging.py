"""Long lists over REST: a page of items, and where the next page begins."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which part of a list is asked for."""

    count: int
    skip: int

    def of(self, rows: Sequence[T], show: Callable[[T], dict[str, Any]]) -> dict[str, Any]:
        """The part of all these rows."""
        part = rows[self.skip : self.skip + self.count]
        return self.answer([show(row) for row in part], more=self.skip + self.count < len(rows))

    def answer(self, items: list[dict[str, Any]], *, more: bool) -> dict[str, Any]:
        """The part; `next` is the `skip` of the next page, null on the last."""
        return {"items": items, "next": self.skip + self.count if more else None}


def _page(
    count: Annotated[int, Query(ge=1, le=500, description="How many items at most.")] = 100,
    skip: Annotated[int, Query(ge=0, le=10**9, description="How many items to leave out.")] = 0,
) -> Page:
    return Page(count=count, skip=skip)


Paged = Annotated[Page, Depends(_page)]
