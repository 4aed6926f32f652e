"""Signing in through an OpenID Connect provider, for accounts that exist here."""

import logging
import os
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response

from annotate.access import anybody
from annotate.config import Oidc
from annotate.oidc import SECRET, OidcError, Provider, Started
from annotate.signing_in import TOO_MANY, Door
from annotate.web_pages import login_page
from storage import judgments as judging
from storage.records import LabelerKind

log = logging.getLogger(__name__)

COOKIE = "pairloop_oidc"
_COOKIE_SECONDS = 600
_PATH = "/login/oidc"
_BACK = "/login/oidc/callback"


def oidc_router(door: Door, oidc: Oidc) -> APIRouter:
    """The two routes of the flow: away, and back."""
    router = APIRouter(include_in_schema=False, dependencies=[Depends(anybody)])
    provider = Provider(oidc, secret=os.environ.get(SECRET, ""))

    def says(text: str, status: int) -> Response:
        answer = login_page(text, single_sign_on=oidc.label, status=status)
        answer.delete_cookie(COOKIE, path=_PATH)
        return answer

    def address_back(request: Request) -> str:
        scheme = "https" if door.is_https(request) else "http"
        return f"{scheme}://{request.url.netloc}{_BACK}"

    def attempts_of(request: Request) -> tuple[str, str]:
        caller = door.caller(request)
        return f"single sign-on from {caller}", f"single sign-on back to {caller}"

    @router.get(_PATH)
    def away(request: Request) -> Response:
        if not door.may_try(request, attempts_of(request)[0]):
            return says(TOO_MANY, 429)
        started = Started.new()
        try:
            address = provider.begin(started, redirect_uri=address_back(request))
        except OidcError as error:
            log.warning("single sign-on: %s", error)
            return says(str(error), 502)
        answer = RedirectResponse(address, status_code=303)
        answer.set_cookie(
            COOKIE,
            started.cookie(),
            max_age=_COOKIE_SECONDS,
            httponly=True,
            samesite="lax",  # strict would not come back with the provider's redirect
            secure=door.is_https(request),
            path=_PATH,
        )
        return answer

    @router.get(_BACK)
    def back(
        request: Request,
        state: Annotated[str, Query(max_length=200)] = "",
        code: Annotated[str, Query(max_length=4000)] = "",
    ) -> Response:
        if not code:
            return says("The provider did not sign you in.", 401)
        if not door.may_try(request, attempts_of(request)[1]):  # each asks the provider
            return says(TOO_MANY, 429)
        started = Started.of_cookie(request.cookies.get(COOKIE, ""))
        try:
            name = provider.finish(
                started,
                state=state,
                code=code,
                redirect_uri=address_back(request),
                cookie_seconds=_COOKIE_SECONDS,
            )
        except OidcError as error:
            log.warning("single sign-on: %s", error)
            return says(str(error), 401)
        labeler = judging.labelers(door.store).get(name)
        if labeler is None or not labeler.active or labeler.kind is not LabelerKind.HUMAN:
            door.failed(name)
            return says("You have no account here. Ask a lead for an invitation.", 403)
        for attempt in attempts_of(request):
            door.succeeded(request, attempt)
        answer = door.let_in(request, labeler.name, how="single sign-on")
        answer.delete_cookie(COOKIE, path=_PATH)
        return answer

    return router
