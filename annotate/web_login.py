"""Signing in and out: the login page, one-time links, and a limit on guessing."""

import html
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from importlib.resources import files
from threading import Lock
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from annotate import accounts
from annotate.config import AnnotateConfig
from annotate.web_session import COOKIE, Sessions, token_of
from storage.store import Store

_WINDOW_SECONDS = 300.0
_TRIES_PER_NAME = 10
_TRIES_PER_PEER = 30


class Attempts:
    """Failed sign-ins of the last minutes, by name and by peer address."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._times: defaultdict[str, deque[float]] = defaultdict(deque)

    def begin(self, *, name: str, peer: str, now: float) -> bool:
        """Count an attempt before its password is checked; False if there were too many."""
        limits = {f"name {name}": _TRIES_PER_NAME, f"peer {peer}": _TRIES_PER_PEER}
        with self._lock:
            self._forget(now)
            if any(len(self._times[key]) >= most for key, most in limits.items()):
                return False
            for key in limits:
                self._times[key].append(now)
            return True

    def succeeded(self, *, name: str, peer: str) -> None:
        """Forget this name's attempts, and the peer's last one."""
        with self._lock:
            self._times.pop(f"name {name}", None)
            if self._times[f"peer {peer}"]:
                self._times[f"peer {peer}"].pop()

    def _forget(self, now: float) -> None:
        for key in list(self._times):
            times = self._times[key]
            while times and times[0] < now - _WINDOW_SECONDS:
                times.popleft()
            if not times:
                del self._times[key]


def login_router(
    store: Store,
    sessions: Sessions,
    config: AnnotateConfig,
    *,
    one_time_logins: Mapping[str, str],
) -> APIRouter:
    """The routes of signing in and out."""
    router = APIRouter(include_in_schema=False)
    attempts = Attempts()
    unused = dict(one_time_logins)

    def signed_in(request: Request, name: str) -> Response:
        if (old := token_of(request.headers)) is not None:
            sessions.end(old)
        answer = RedirectResponse("/label/", status_code=303)
        answer.set_cookie(
            COOKIE,
            sessions.start(name),
            max_age=int(config.session_hours * 3600),
            httponly=True,
            samesite="lax",
            secure=config.secure_cookie,
            path="/",
        )
        return answer

    @router.get("/login")
    def login_page(request: Request) -> Response:
        if request.state.labeler is not None:
            return RedirectResponse("/label/", status_code=303)
        again = "again" in request.query_params
        return _login_page("Your sign-in has ended. What you decided is kept." if again else "")

    @router.post("/login")
    def login(
        request: Request,
        name: Annotated[str, Form(max_length=200)] = "",
        password: Annotated[str, Form(max_length=1000)] = "",
    ) -> Response:
        peer = request.client.host if request.client else ""
        name = name.strip()
        if not attempts.begin(name=name, peer=peer, now=time.monotonic()):
            page = _login_page("Too many attempts. Wait five minutes, then try again.", status=429)
            page.headers["Retry-After"] = str(int(_WINDOW_SECONDS))
            return page
        labeler = accounts.check_password(store, name, password)
        if labeler is None:
            return _login_page("This name and password do not match.", status=401)
        attempts.succeeded(name=name, peer=peer)
        return signed_in(request, labeler.name)

    @router.get("/login/once/{token}")
    def once_page(token: str) -> Response:
        name = unused.get(token)
        if name is None:
            return _login_page("This link was used already, or is not one of ours.", status=404)
        return _page(
            f'<form method="post"><p>You were given a link that signs you in once.</p>'
            f"<button>Sign in as {html.escape(name)}</button></form>"
        )

    @router.post("/login/once/{token}")
    def once(request: Request, token: str) -> Response:
        name = unused.pop(token, None)
        if name is None:
            return _login_page("This link was used already, or is not one of ours.", status=404)
        return signed_in(request, name)

    @router.post("/logout")
    def logout(request: Request) -> Response:
        if (token := token_of(request.headers)) is not None:
            sessions.end(token)
        answer = RedirectResponse("/login", status_code=303)
        answer.delete_cookie(COOKIE, path="/")
        return answer

    return router


def _login_page(message: str, *, status: int = 200) -> HTMLResponse:
    note = f'<p class="message" role="alert">{html.escape(message)}</p>' if message else ""
    return _page(
        f"""{note}<form method="post" action="/login">
<label for="name">Name</label>
<input id="name" name="name" autocomplete="username" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button>Sign in</button></form>""",
        status=status,
    )


def _page(body: str, *, status: int = 200) -> HTMLResponse:
    style = (files("annotate") / "page" / "login.css").read_text(encoding="utf-8")
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>pairloop: sign in</title><style>{style}</style></head><body><main>"
        f"<h1><i></i><i></i>pairloop</h1>{body}</main></body></html>",
        status_code=status,
    )
