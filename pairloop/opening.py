"""Before the labeling server has read its store, and after it was told to end: alive, not ready.

A large store takes a while to read. Until then whoever asks is told so, instead of waiting.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from starlette.requests import Request

from annotate.health import Health
from annotate.stopping import Stopping
from annotate.web_pages import page

STARTING = "The server is starting."
_HEADERS = {"Retry-After": "2", "Cache-Control": "no-store"}
_WORDS = f'<p role="status">{STARTING} This page tries again by itself.</p>'


@contextmanager
def starting(listener: socket.socket) -> Iterator[ExitStack]:
    """Answer on this socket until the block, or the stack it gives, is closed.

    The socket goes on listening after that: whoever comes then waits for the server itself.
    """
    with ExitStack() as until:
        until.enter_context(_answering(listener))
        yield until


@contextmanager
def _answering(listener: socket.socket) -> Iterator[None]:
    server = uvicorn.Server(
        uvicorn.Config(
            _app(),
            log_config=None,
            access_log=False,
            proxy_headers=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
    )
    own = listener.dup()  # uvicorn closes what it is given
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [own]}, name="pairloop-starting", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=5.0)


def _app() -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.api_route("/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
    async def anything(request: Request) -> Response:
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            shown = page(_WORDS, title="starting", status=503)
            shown.headers.update(_HEADERS | {"Refresh": "2"})
            return shown
        body = {"status": "not ready", "detail": STARTING}
        return JSONResponse(body, status_code=503, headers=_HEADERS)

    return app


class LastWords(uvicorn.Server):
    """Told to end, it takes no new work and answers what is under way.

    With drain_seconds it first serves on for so long and says that it is not ready, so that a proxy
    sends new requests elsewhere before it meets a closed port. Told twice, it ends at once.
    """

    def __init__(
        self, config: uvicorn.Config, *, health: Health, stopping: Stopping, drain_seconds: float
    ) -> None:
        super().__init__(config)
        self._health, self._stopping, self._drain_seconds = health, stopping, drain_seconds
        self._timer: threading.Timer | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._drain_seconds and not self._health.stopping:
            self._timer = threading.Timer(self._drain_seconds, self._end, (sig, frame))
            self._timer.daemon = True
            self._timer.start()
        else:
            if self._timer is not None:
                self._timer.cancel()
            self._end(sig, frame)
        self._health.stopping = True

    def _end(self, sig: int, frame: FrameType | None) -> None:
        self._stopping.begin()
        super().handle_exit(sig, frame)
