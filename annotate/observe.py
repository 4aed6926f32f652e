"""Around every request: its id, its line in the log, and what the metrics count of it.

A line tells the route as the program knows it (`/login/once/{token}`), never the path that was
asked for, its query, its body or who asked: paths hold sign-in links, and logs travel further than
the store. Who did what is in the activity trail.
"""

import logging
import re
import time
from collections.abc import Sequence
from contextvars import ContextVar
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from annotate import proxies
from annotate.metrics import Metrics
from annotate.web_session import HEADERS
from storage.errors import StoreError

log = logging.getLogger(__name__)

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
HEADER = "X-Request-ID"
_GIVEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_QUIET = ("/healthz", "/readyz", "/metrics", "/label", "/adjudicate", "/admin", "/favicon.ico")


class Observe:
    """The outermost ASGI middleware; also answers for errors that nothing else knew."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, trusted: Sequence[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope, self._trusted)
        before = REQUEST_ID.set(request_id)
        began, begun = time.perf_counter(), False

        async def send_and_note(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                MutableHeaders(scope=message)[HEADER] = request_id
                # Until the answer begins: pages keep streams open that have no end.
                self._note(scope, int(message["status"]), time.perf_counter() - began)
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception as error:
            if begun:
                raise  # too late for another answer: uvicorn notes it and hangs up
            if isinstance(error, StoreError):  # who asks? looked up before the app's own answers
                log.error("the store failed a request: %s", error, extra=_what(scope))  # noqa: TRY400
                answer = error_answer(503, "The store does not answer", request_id)
            else:
                log.exception("request failed", extra=_what(scope))
                answer = error_answer(500, "An error of the server, noted in its log", request_id)
            await answer(scope, receive, send_and_note)
        finally:
            REQUEST_ID.reset(before)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        what = _what(scope)
        self._metrics.request(what["route"], what["method"], status, seconds)
        quiet = status < 400 and what["route"] in _QUIET
        fields = what | {"status": status, "ms": round(seconds * 1000, 1)}
        log.log(logging.DEBUG if quiet else logging.INFO, "request", extra=fields)


def error_answer(status: int, what: str, request_id: str) -> JSONResponse:
    """What a person may quote to whoever reads the log."""
    detail = f"{what} (request {request_id}). Nothing was lost; try again."
    return JSONResponse({"detail": detail}, status_code=status, headers=HEADERS)


def _what(scope: Scope) -> dict[str, str]:
    return {"method": str(scope["method"]), "route": scope.get("state", {}).get("route", "")}


def _request_id(scope: Scope, trusted: Sequence[str]) -> str:
    """The id that a trusted proxy gave the request, else a new one."""
    client = scope.get("client")
    given = Headers(scope=scope).getlist(HEADER)
    usable = len(given) == 1 and _GIVEN.fullmatch(given[0]) is not None
    believed = client is not None and proxies.is_trusted(client[0], trusted)
    return given[0] if usable and believed else uuid4().hex
