"""Signing in and out: the login page, one-time links, invitations, and new passwords."""

import html
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.background import BackgroundTask

from annotate import accounts, invitations, passwords
from annotate.access import anybody
from annotate.accounts import MAX_PASSWORD_CHARS
from annotate.invitations import InvitationState
from annotate.signing_in import TOO_MANY, WINDOW_SECONDS, Door
from annotate.web_pages import invitation_page, login_page, message, page, reset_page
from storage.errors import ConflictError, InputError
from storage.team_records import Invitation

_Name = Annotated[str, Form(max_length=200)]
_Password = Annotated[str, Form(max_length=MAX_PASSWORD_CHARS)]


def login_router(door: Door, *, one_time_logins: Mapping[str, str]) -> APIRouter:
    """The routes of signing in and out."""
    router = APIRouter(include_in_schema=False, dependencies=[Depends(anybody)])
    unused = dict(one_time_logins)
    label = door.config.oidc.label if door.config.oidc else ""

    @router.get("/login")
    def form(request: Request) -> Response:
        if request.state.labeler is not None:
            return RedirectResponse("/label/", status_code=303)
        again = "again" in request.query_params
        text = "Your sign-in has ended. What you decided is kept." if again else ""
        return login_page(text, single_sign_on=label)

    @router.post("/login")
    def login(request: Request, name: _Name = "", password: _Password = "") -> Response:
        name = name.strip()
        if not door.may_try(request, name):
            return _too_many(login_page(TOO_MANY, single_sign_on=label, typed=name, status=429))
        labeler = accounts.check_password(door.store, name, password)
        if labeler is None:
            text = "This name and password do not match."
            answer = login_page(text, single_sign_on=label, typed=name, status=401)
            # Only names that exist are noted: before the answer, its time would tell which.
            answer.background = BackgroundTask(door.failed, name)
            return answer
        door.succeeded(request, name)
        return door.let_in(request, labeler.name, how="password")

    @router.get("/login/once/{token}")
    def once_page(token: str) -> Response:
        name = unused.get(token)
        if name is None:
            return login_page(_NOT_OURS, single_sign_on=label, status=404)
        return page(
            f'<form method="post"><p>You were given a link that signs you in once.</p>'
            f"<button>Sign in as {html.escape(name)}</button></form>"
        )

    @router.post("/login/once/{token}")
    def once(request: Request, token: str) -> Response:
        name = unused.pop(token, None)
        if name is None:
            return login_page(_NOT_OURS, single_sign_on=label, status=404)
        return door.let_in(request, name, how="one-time link")

    @router.post("/logout")
    def logout(request: Request) -> Response:
        return door.let_out(request)

    return router


def invite_router(door: Door) -> APIRouter:
    """Making the account of an invitation; the only way in for those who have none."""
    router = APIRouter(include_in_schema=False, dependencies=[Depends(anybody)])

    def open_invitation(token: str) -> Invitation | Response:
        found = invitations.find(door.store, token)
        if found is None:
            return _end("This link is not one of ours. Ask for a new one.", 404)
        state = invitations.state_of(found)
        if state is not InvitationState.OPEN:
            return _end(invitations.refusal(state), 410)
        return found

    @router.get("/invite/{token}")
    def form(token: str) -> Response:
        found = open_invitation(token)
        if isinstance(found, Response):
            return found
        return invitation_page(token, named=found.name)

    @router.post("/invite/{token}")
    def make(
        request: Request,
        token: str,
        name: _Name = "",
        password: _Password = "",
        again: _Password = "",
    ) -> Response:
        attempt = f"invitation {accounts.token_hash(token)}"
        if not door.may_try(request, attempt):
            return _too_many(_end(TOO_MANY, 429))
        found = open_invitation(token)
        if isinstance(found, Response):
            return found
        if password != again:
            text = "The two passwords differ."
            return invitation_page(token, named=found.name, typed=name, text=text, status=422)
        try:
            labeler = invitations.accept(door.store, token, name=name, password=password)
        except (ConflictError, InputError) as error:
            status = 409 if isinstance(error, ConflictError) else 422
            return invitation_page(
                token, named=found.name, typed=name, text=str(error), status=status
            )
        door.succeeded(request, attempt)
        return door.let_in(request, labeler.name, how="invitation")

    return router


def reset_router(door: Door) -> APIRouter:
    """Choosing a new password by a link that an admin made."""
    router = APIRouter(include_in_schema=False, dependencies=[Depends(anybody)])

    @router.get("/reset/{token}")
    def form(token: str) -> Response:
        name = passwords.whose_reset(door.store, token)
        return reset_page(token, named=name) if name else _end(_RESET_ENDED, 410)

    @router.post("/reset/{token}")
    def change(
        request: Request, token: str, password: _Password = "", again: _Password = ""
    ) -> Response:
        attempt = f"reset {accounts.token_hash(token)}"
        if not door.may_try(request, attempt):
            return _too_many(_end(TOO_MANY, 429))
        name = passwords.whose_reset(door.store, token)
        if name is None:
            return _end(_RESET_ENDED, 410)
        if password != again:
            return reset_page(token, named=name, text="The two passwords differ.", status=422)
        try:
            passwords.use_reset(door.store, token, password)
        except ConflictError as error:
            return _end(str(error), 410)
        except InputError as error:
            return reset_page(token, named=name, text=str(error), status=422)
        door.succeeded(request, attempt)
        return door.let_in(request, name, how="password reset")

    return router


_RESET_ENDED = "This link was used already, has ended, or is not one of ours. Ask for a new one."
_NOT_OURS = "This link was used already, or is not one of ours."


def _end(text: str, status: int) -> HTMLResponse:
    return page(
        f'{message(text)}<p><a href="/login">Sign in</a></p>', title="invitation", status=status
    )


def _too_many(answer: HTMLResponse) -> HTMLResponse:
    answer.headers["Retry-After"] = str(int(WINDOW_SECONDS))
    return answer
