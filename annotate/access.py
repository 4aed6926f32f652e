"""Who may use which route: each route says so by what it depends on, and one that does not is
for admins.

    anybody < signed_in < adjudicators < admin_only

The dependency refuses in the handler; the gate reads the same declarations and refuses before
anything of the request is read.
"""

from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Annotated, Any, assert_never

from fastapi import Depends, HTTPException, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import Scope

from storage.records import Labeler, Role

FOR_ADMINS = "This is for admins."
FOR_ADJUDICATORS = "This is for adjudicators and admins."
SIGN_IN = "Sign in first."


class Access(IntEnum):
    """Who may use a route; each level includes those above it."""

    ANYBODY = 0
    SIGNED_IN = 1
    ADJUDICATORS = 2
    ADMINS = 3

    def refusal(self, labeler: Labeler | None) -> tuple[int, str] | None:
        """Status and sentence for whom this is not for; None lets them pass."""
        if self is Access.ANYBODY:
            return None
        if labeler is None:
            return 401, SIGN_IN
        match self:
            case Access.SIGNED_IN:
                return None
            case Access.ADJUDICATORS:
                may = labeler.role in (Role.ADJUDICATOR, Role.ADMIN)
                return None if may else (403, FOR_ADJUDICATORS)
            case Access.ADMINS:
                return None if labeler.role is Role.ADMIN else (403, FOR_ADMINS)
            case _:
                assert_never(self)


MOUNTS = {
    "/label": Access.SIGNED_IN,
    "/adjudicate": Access.ADJUDICATORS,
    "/admin": Access.ADMINS,
}


def _allowed(request: Request, access: Access) -> Labeler:
    labeler: Labeler | None = request.state.labeler
    refusal = access.refusal(labeler)
    if refusal is not None:
        raise HTTPException(*refusal)
    assert labeler is not None, "only ANYBODY lets nobody pass"
    return labeler


def anybody() -> None:
    """Marks a route that needs no sign-in."""


def signed_in(request: Request) -> Labeler:
    """Who is signed in, by cookie or API token."""
    return _allowed(request, Access.SIGNED_IN)


def adjudicators(request: Request) -> Labeler:
    """The same, if an adjudicator or an admin."""
    return _allowed(request, Access.ADJUDICATORS)


def admin_only(request: Request) -> Labeler:
    """The same, if an admin."""
    return _allowed(request, Access.ADMINS)


def scrapers(request: Request) -> None:
    """Admins, and whoever has the metrics token (the gate knows it)."""
    if not getattr(request.state, "scraper", False):
        _allowed(request, Access.ADMINS)


Me = Annotated[Labeler, Depends(signed_in)]
Adjudicator = Annotated[Labeler, Depends(adjudicators)]
Admin = Annotated[Labeler, Depends(admin_only)]

_DECLARED: dict[Callable[..., Any], Access] = {
    anybody: Access.ANYBODY,
    signed_in: Access.SIGNED_IN,
    adjudicators: Access.ADJUDICATORS,
    admin_only: Access.ADMINS,
    scrapers: Access.ADMINS,
}


def access_of(route: BaseRoute) -> Access:
    """Who may use a route: the strictest it declares; admins where it declares nothing."""
    if isinstance(route, Mount):
        return MOUNTS.get(route.path, Access.ADMINS)
    if not isinstance(route, APIRoute):
        return Access.ADMINS
    return max(
        (_DECLARED[call] for call in _calls(route.dependant) if call in _DECLARED),
        default=Access.ADMINS,
    )


def route_to(scope: Scope) -> BaseRoute | None:
    """What answers to a request's path; None where nothing does."""
    known = {Match.FULL: 2, Match.PARTIAL: 1}  # partial: the path is right, the method is not
    best, found = 0, None
    for route in scope["app"].routes:
        match, _ = route.matches(scope)
        if known.get(match, 0) > best:
            best, found = known[match], route
            if best == 2:
                break
    return found


def path_of(route: BaseRoute | None) -> str:
    """A route's path as it is declared, "" for none."""
    return route.path if isinstance(route, (APIRoute, Mount)) else ""


def _calls(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    for part in dependant.dependencies:
        if part.call is not None:
            yield part.call
        yield from _calls(part)
