"""Who is asking, and may they: the session cookie or API token, and the gate all requests pass.

The gate stands before all routes and the Gradio mounts. It refuses requests from other sites,
sends those who are not signed in to the login page, keeps from everybody what a route does not
declare to be for them (annotate/access.py), opens of Gradio's routes only those that our pages use,
and puts the security headers on every answer.
"""

import re
import time
from collections.abc import Callable
from hmac import compare_digest
from http.cookies import CookieError, SimpleCookie
from threading import Lock
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from annotate import accounts
from annotate.access import MOUNTS, SIGN_IN, Access, access_of, path_of, route_to
from annotate.tokens import token_labeler
from annotate.web_pages import missing_page, refused_page, wants_page
from storage.judgments import sign_in_versions
from storage.records import Labeler
from storage.store import Store
from storage.words import many

COOKIE = "pairloop_session"
_KEPT_SECONDS = 30.0  # how long somebody is remembered, while nothing about sign-ins changes
_LOOK_SECONDS = 1.0  # how often the store is asked whether something did
_MAX_BODY_BYTES = 1024 * 1024  # an edited answer of 200,000 characters fits
_MAX_OPEN_BODY_BYTES = 16 * 1024  # where nobody is signed in yet

# All that our pages ask of Gradio. Its other routes take files, fetch addresses, run code by name or
# hand the cookie to scripts; one that a later version adds is closed too.
_GRADIO = {
    "GET": re.compile(
        r"/?|/(?:assets|static)/.+|/(?:gradio_api/)?theme\.css|/config/?"
        r"|/favicon\.ico|/gradio_api/(?:heartbeat/\w+|startup-events)"
    ),
    "POST": re.compile(r"/gradio_api/run/predict"),
}
_FOR_TOKENS = ("/api", "/docs", "/openapi.json", "/metrics")

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # no-referrer would turn the Origin of our own forms to null
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_ENDS = "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
_OWN_POLICY = f"default-src 'none'; style-src 'unsafe-inline'; {_ENDS}"


class _Known(NamedTuple):
    """Who was found for a cookie or token, and when that is no longer to be believed."""

    until: float
    changes: int
    versions: tuple[int, ...]
    labeler: Labeler | None


class Sessions:
    """Who a cookie or token is, remembered so that assets and judgments cost no query.

    What this process changes counts at once; what another command changes, within a second, or
    within half a minute while the store does not answer: nobody waits for somebody else's look.
    """

    def __init__(self, store: Store, *, hours: float) -> None:
        self.hours = hours
        self._store = store
        self._lock = Lock()
        self._looking = Lock()  # held while the store is asked, by the one who asks
        self._known: dict[tuple[str, bool], _Known] = {}
        self._looked = 0.0
        self._versions: tuple[int, ...] = ()

    def remembered(self, secret: str, *, is_token: bool) -> tuple[bool, Labeler | None]:
        """(True, who) if this was looked up, and sign-ins looked at, just now."""
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            return False, None
        return self._kept(secret, is_token=is_token)

    def labeler(self, secret: str, *, is_token: bool) -> Labeler | None:
        """Who is signed in with this cookie or, is_token, has this API token."""
        self._look()
        fresh, labeler = self._kept(secret, is_token=is_token)
        if not fresh:
            # Both from before looking: a change meanwhile makes what is found stale.
            changes, versions = accounts.changes(), self._versions
            look = token_labeler if is_token else accounts.session_labeler
            labeler = look(self._store, secret)
            with self._lock:
                if len(self._known) > 10_000:
                    self._known.clear()
                until = time.monotonic() + _KEPT_SECONDS
                self._known[secret, is_token] = _Known(until, changes, versions, labeler)
        return labeler

    def _kept(self, secret: str, *, is_token: bool) -> tuple[bool, Labeler | None]:
        known = self._known.get((secret, is_token))
        if (
            known is None
            or known.until <= time.monotonic()
            or (known.changes, known.versions) != (accounts.changes(), self._versions)
        ):
            return False, None
        return True, known.labeler

    def _look(self) -> None:
        """Forget everybody if another command changed an account or ended a sign-in."""
        asked = time.monotonic()
        if asked - self._looked <= _LOOK_SECONDS or not self._looking.acquire(blocking=False):
            return
        try:
            versions = sign_in_versions(self._store)
            with self._lock:
                if versions != self._versions:
                    self._known.clear()
                    self._versions = versions
            self._looked = asked
        finally:
            self._looking.release()

    def start(self, name: str) -> str:
        """Sign in; returns the cookie's token."""
        return accounts.start_session(self._store, name, hours=self.hours)

    def end(self, token: str) -> None:
        """Sign out, at once."""
        accounts.end_session(self._store, token)
        with self._lock:
            self._known.pop((token, False), None)


def token_of(headers: Headers) -> str | None:
    """The session cookie's value."""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel and 0 < len(morsel.value) <= 200 else None


def bearer_of(headers: Headers) -> str | None:
    """The API token of an Authorization header, "" where it is no token of any length."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    value = value.strip()
    return value if len(value) <= 200 else ""


def is_foreign(headers: Headers, *, https: bool) -> bool:
    """True for a request that another site's page makes: a changed Origin, or the browser says so.

    Programs send neither header; they hold no one else's cookie. https: surely, so that a page
    over http, which anybody on the way may have written, is another site's.
    """
    origin = headers.get("origin")
    if origin is not None:
        scheme, _, place = origin.lower().partition("://")
        return place != headers.get("host", "").lower() or (https and scheme != "https")
    return headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


class Gate:
    """The ASGI middleware in front of everything."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        sessions: Sessions,
        is_https: Callable[[Request], bool],
        metrics_token: str = "",
    ) -> None:
        self._app = app
        self._is_https = is_https
        self._sessions = sessions
        self._metrics_token = metrics_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no page here uses WebSocket
            await send({"type": "websocket.close", "code": 1008})
            return
        path = str(scope["path"])

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", _OWN_POLICY)
                if not any(_under(path, mount) for mount in MOUNTS):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        bearer = bearer_of(headers)
        scraper = path == "/metrics" and self._is_scraper(bearer or "")
        by_token = bearer is not None and any(_under(path, prefix) for prefix in _FOR_TOKENS)
        by_token = by_token and not scraper
        # With a token the cookie counts for nothing, so that nobody acts as two people.
        secret = token_of(headers) if bearer is None else bearer if by_token else None
        labeler: Labeler | None = None
        if secret:
            fresh, labeler = self._sessions.remembered(secret, is_token=by_token)
            if not fresh:
                labeler = await run_in_threadpool(self._sessions.labeler, secret, is_token=by_token)
        route = route_to(scope)
        scope.setdefault("state", {}).update(
            labeler=labeler, by_token=by_token, scraper=scraper, route=path_of(route)
        )
        access = None if route is None else Access.ANYBODY if scraper else access_of(route)
        # Other sites' pages can't send an Authorization header; a cookie goes along by itself.
        if _changes(scope) and not by_token:
            https = self._is_https(Request(scope))
            if is_foreign(headers, https=https):
                foreign = _says(403, "This request comes from another site.")
                await foreign(scope, receive, send_with_headers)
                return
        refusal = _refuse(
            scope, headers, labeler, access, bearer=bearer is not None, by_token=by_token
        )
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _is_scraper(self, secret: str) -> bool:
        """Whether this is the token that reads the metrics and nothing else."""
        known = self._metrics_token.encode()
        return bool(known) and compare_digest(secret.encode(), known)


def _refuse(
    scope: Scope,
    headers: Headers,
    labeler: Labeler | None,
    access: Access | None,
    *,
    bearer: bool,
    by_token: bool,
) -> Response | None:
    """The answer to a request that may not go on; None lets it pass."""
    path, method = str(scope["path"]), str(scope["method"])
    if by_token and labeler is None:
        return _says(401, "This API token is unknown, revoked or expired. Make a new one.")
    if bearer and not by_token and access is not Access.ANYBODY:
        return _says(403, "API tokens are for the routes under /api, not for the pages.")
    # Whether a path exists is not told to those who are not signed in.
    unknown = None if labeler else (401, SIGN_IN)
    refusal = unknown if access is None else access.refusal(labeler)
    by_browser = wants_page(method, headers.get("accept", ""))
    if refusal is not None:
        if by_browser:
            if labeler is None:
                return RedirectResponse("/login", status_code=303)
            return refused_page(refusal[1], status=refusal[0])
        return _says(*refusal)
    if _changes(scope):
        most = _MAX_BODY_BYTES if labeler else _MAX_OPEN_BODY_BYTES
        length = headers.get("content-length")
        if length is None and "transfer-encoding" in headers:
            return _says(411, "Send a Content-Length.")
        if length is not None and (not length.isdecimal() or int(length) > most):
            return _says(413, f"A request may hold {many(most, 'byte')}.")
        if _under(path, "/label") or _under(path, "/adjudicate"):  # without Gradio events
            return _says(405, "There is nothing to post here.")
        if method != "POST" and _under(path, "/admin"):
            return _says(405, "There is nothing to change here like this.")
    if path in MOUNTS:
        return RedirectResponse(f"{path}/")
    mount = next((mount for mount in MOUNTS if _under(path, mount)), None)
    if mount is not None:
        known = _GRADIO["GET" if method in ("HEAD", "OPTIONS") else method]
        if not known.fullmatch(path.removeprefix(mount)):
            return missing_page() if by_browser else _says(404, "Not found.")
    return None


def _changes(scope: Scope) -> bool:
    return scope["method"] not in ("GET", "HEAD", "OPTIONS")


def _under(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")


def _says(status: int, detail: str) -> Response:
    return JSONResponse({"detail": detail}, status_code=status)
