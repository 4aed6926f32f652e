"""One's own account: API tokens and the password, as a plain page without scripts."""

from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from annotate import passwords, tokens
from annotate.access import Me
from annotate.account_html import account_page
from annotate.accounts import MAX_PASSWORD_CHARS
from annotate.signing_in import TOO_MANY, Door
from storage import team
from storage.errors import InputError
from storage.records import Labeler

_Text = Annotated[str, Form(max_length=200)]
_Password = Annotated[str, Form(max_length=MAX_PASSWORD_CHARS)]
_SHOWN = 100


def account_router(door: Door) -> APIRouter:
    """The page and its three forms, for everybody who is signed in with a cookie."""
    router = APIRouter(prefix="/account", include_in_schema=False)

    def page(me: Labeler, *, said: str = "", made: str = "", status: int = 200) -> HTMLResponse:
        found = tokens.tokens_of(door.store, me.name)[:_SHOWN]
        return account_page(me, found, said=said, made=made, status=status)

    @router.get("")
    def show(request: Request, me: Me) -> Response:
        changed = "changed" in request.query_params
        return page(me, said="Your password is changed." if changed else "")

    @router.post("/tokens")
    def make(me: Me, label: _Text = "", days: _Text = "") -> Response:
        try:
            token = tokens.create_token(door.store, me.name, label=label, days=_days(days))
        except InputError as error:
            return page(me, said=str(error), status=422)
        return page(me, made=token)

    @router.post("/tokens/{token}/revoke")
    def revoke(me: Me, token: str) -> Response:
        row = team.api_token(door.store, token)
        if row is None or row.revoked or row.labeler != me.name:
            raise HTTPException(404, "There is no such token, or it was revoked already.")
        tokens.revoke_token(door.store, token, author=me.name)
        return RedirectResponse("/account", status_code=303)

    @router.post("/password")
    def change(
        request: Request,
        me: Me,
        current: _Password = "",
        password: _Password = "",
        again: _Password = "",
    ) -> Response:
        attempt = f"password of {me.name}"
        if not door.may_try(request, attempt):
            return page(me, said=TOO_MANY, status=429)
        if password != again:
            return page(me, said="The two new passwords differ.", status=422)
        try:
            passwords.change_own(door.store, me.name, current=current, password=password)
        except InputError as error:
            return page(me, said=str(error), status=422)
        door.succeeded(request, attempt)
        return door.let_in(request, me.name, how="new password", to="/account?changed")

    return router


def _days(typed: str) -> float | None:
    if not typed.strip():
        return None
    try:
        return float(typed)
    except ValueError:
        raise InputError(
            f"{typed[:20]!r} is no number of days. Leave it empty for no end."
        ) from None
