"""What every way of signing in shares: the cookie, the trail, and a limit on guessing."""

import logging
import time
from collections import defaultdict, deque
from threading import Lock

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from annotate import proxies
from annotate.config import AnnotateConfig
from annotate.web_session import COOKIE, Sessions, token_of
from storage import judgments as judging
from storage import team
from storage.store import Store

log = logging.getLogger(__name__)

WINDOW_SECONDS = 300.0
TOO_MANY = "Too many attempts. Wait five minutes, then try again."
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
            while times and times[0] < now - WINDOW_SECONDS:
                times.popleft()
            if not times:
                del self._times[key]


class Door:
    """Lets people in: one per server."""

    def __init__(self, store: Store, sessions: Sessions, config: AnnotateConfig) -> None:
        self.store = store
        self.sessions = sessions
        self.config = config
        self._attempts = Attempts()

    def may_try(self, request: Request, name: str) -> bool:
        """Count an attempt; False after too many by this name or from this address."""
        peer = proxies.counted_as(self.caller(request))
        may = self._attempts.begin(name=name, peer=peer, now=time.monotonic())
        if not may:
            log.warning("too many attempts", extra={"address": peer})  # the name may be a password
        return may

    def failed(self, name: str) -> None:
        """Leave a failed attempt in the trail if somebody has this name."""
        if name in judging.labelers(self.store):
            team.note(self.store, actor=name, action="sign-in failed")

    def succeeded(self, request: Request, name: str) -> None:
        """Take the attempt back."""
        self._attempts.succeeded(name=name, peer=proxies.counted_as(self.caller(request)))

    def let_in(self, request: Request, name: str, *, how: str, to: str = "/label/") -> Response:
        """A new session in place of the one there was, and on to the pairs."""
        if (old := token_of(request.headers)) is not None:
            self.sessions.end(old)
        answer = RedirectResponse(to, status_code=303)
        answer.set_cookie(
            COOKIE,
            self.sessions.start(name),
            max_age=int(self.config.session_hours * 3600),
            httponly=True,
            samesite="lax",
            secure=self.is_https(request),
            path="/",
        )
        team.note(self.store, actor=name, action="signed in", detail=how)
        return answer

    def let_out(self, request: Request) -> Response:
        """End the session, and on to the login page."""
        if (token := token_of(request.headers)) is not None:
            self.sessions.end(token)
        if request.state.labeler is not None:
            team.note(self.store, actor=request.state.labeler.name, action="signed out")
        answer = RedirectResponse("/login", status_code=303)
        answer.delete_cookie(COOKIE, path="/")
        return answer

    def caller(self, request: Request) -> str:
        """Who calls, by address; forwarded headers count from trusted proxies."""
        said = request.headers.getlist("x-forwarded-for")
        return proxies.caller(_peer(request), said, self.config.trusted_proxies)

    def is_https(self, request: Request) -> bool:
        """Whether cookies may be for https only, and links back begin with it."""
        said = request.headers.getlist("x-forwarded-proto")
        return self.config.secure_cookie or proxies.is_https(
            _peer(request), request.url.scheme, said, self.config.trusted_proxies
        )


def _peer(request: Request) -> str:
    return request.client.host if request.client else ""
