"""Who is asking, and may they: the session cookie, and the gate every request passes.

The gate stands before all routes and both Gradio mounts. It refuses requests from other sites,
sends those who are not signed in to the login page, keeps what is for admins from others, closes
the Gradio routes nobody here needs, and puts the security headers on every answer.
"""

import time
from http.cookies import CookieError, SimpleCookie
from threading import Lock
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from annotate import accounts
from storage.records import Labeler, Role
from storage.store import Store

COOKIE = "pairloop_session"
_CACHE_SECONDS = 5.0
_MAX_BODY_BYTES = 256 * 1024

_OPEN = {"/", "/healthz", "/readyz", "/login", "/favicon.ico"}
_ADMIN = ("/admin", "/docs", "/openapi.json", "/api/agreement", "/api/status", "/api/rounds")
# Gradio routes that take files, fetch addresses, run by name or hand the cookie to scripts.
_CLOSED = ("upload", "file", "proxy", "component_server", "stream", "token", "deep_link", "call")

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # no-referrer would turn the Origin of our own forms to null
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_ENDS = "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
_GRADIO_POLICY = (  # Gradio needs inline scripts and eval; everything still comes from here only
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    f"connect-src 'self'; frame-src 'none'; {_ENDS}"
)
_OWN_POLICY = f"default-src 'none'; style-src 'unsafe-inline'; {_ENDS}"


class Sessions:
    """Sign-ins by cookie token, remembered for a few seconds so that assets cost no query."""

    def __init__(self, store: Store, *, hours: float) -> None:
        self.hours = hours
        self._store = store
        self._lock = Lock()
        self._known: dict[str, tuple[float, Labeler | None]] = {}

    def remembered(self, token: str) -> tuple[bool, Labeler | None]:
        """(True, who) if this token was looked up just now."""
        until, labeler = self._known.get(token, (0.0, None))
        return until > time.monotonic(), labeler

    def labeler(self, token: str) -> Labeler | None:
        """Who is signed in with this token."""
        fresh, labeler = self.remembered(token)
        if not fresh:
            labeler = accounts.session_labeler(self._store, token)
            with self._lock:
                if len(self._known) > 10_000:
                    self._known.clear()
                self._known[token] = (time.monotonic() + _CACHE_SECONDS, labeler)
        return labeler

    def start(self, name: str) -> str:
        """Sign in; returns the cookie's token."""
        return accounts.start_session(self._store, name, hours=self.hours)

    def end(self, token: str) -> None:
        """Sign out, at once."""
        accounts.end_session(self._store, token)
        with self._lock:
            self._known.pop(token, None)


def token_of(headers: Headers) -> str | None:
    """The session cookie's value."""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel and 0 < len(morsel.value) <= 200 else None


def is_foreign(headers: Headers) -> bool:
    """True for a request that another site's page makes: a changed Origin, or the browser says so.

    Programs send neither header; they hold no one else's cookie.
    """
    origin = headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    return headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


class Gate:
    """The ASGI middleware in front of everything."""

    def __init__(self, app: ASGIApp, *, sessions: Sessions) -> None:
        self._app = app
        self._sessions = sessions

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
                gradio = _under(path, "/label") or _under(path, "/admin")
                policy = _GRADIO_POLICY if gradio else _OWN_POLICY
                headers.setdefault("Content-Security-Policy", policy)
                if not gradio:
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        token = token_of(headers)
        labeler: Labeler | None = None
        if token:
            fresh, labeler = self._sessions.remembered(token)
            if not fresh:
                labeler = await run_in_threadpool(self._sessions.labeler, token)
        scope.setdefault("state", {})["labeler"] = labeler
        refusal = _refuse(path, str(scope["method"]), headers, labeler)
        await (refusal or self._app)(scope, receive, send_with_headers)


def _refuse(path: str, method: str, headers: Headers, labeler: Labeler | None) -> Response | None:
    """The answer to a request that may not go on; None lets it pass."""
    if method not in ("GET", "HEAD", "OPTIONS"):
        if is_foreign(headers):
            return _says(403, "This request comes from another site.")
        length = headers.get("content-length")
        if length is None and "transfer-encoding" in headers:
            return _says(411, "Send a Content-Length.")
        if length is not None and (not length.isdigit() or int(length) > _MAX_BODY_BYTES):
            return _says(413, f"A request may hold {_MAX_BODY_BYTES} bytes.")
        if _under(path, "/label"):  # the labeling page has no Gradio events
            return _says(405, "There is nothing to post here.")
    if path in _OPEN or path.startswith("/login/once/"):
        return None
    if labeler is None:
        if method == "GET" and "text/html" in headers.get("accept", ""):
            return RedirectResponse("/login", status_code=303)
        return _says(401, "Sign in first.")
    if any(_under(path, prefix) for prefix in _ADMIN) and labeler.role is not Role.ADMIN:
        return _says(403, "This is for admins.")
    if "/gradio_api/" in path:
        name = path.split("/gradio_api/", 1)[1]
        if name.startswith(_CLOSED) or "/monitoring" in path:
            return _says(404, "Not found.")
    return None


def _under(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")


def _says(status: int, detail: str) -> Response:
    return JSONResponse({"detail": detail}, status_code=status)
