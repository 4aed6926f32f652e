"""HTTP as uvicorn speaks it, with bounds that httptools lacks: how long the head of a request may be
and how long one may take to arrive. Both hold before anybody is signed in.

httptools puts a header together from its pieces, so that one of 60 MB kept a server busy for ten
seconds, in which nobody else was answered.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024  # as h11, uvicorn's other parser
REQUEST_SECONDS = 120.0  # from the first byte to the last: a decision is small


class BoundedHttp(HttpToolsProtocol):
    """One connection. Bytes that bring a request no further are counted until some do."""

    request_seconds = REQUEST_SECONDS
    _waiting = 0
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._waiting += len(data)
        super().data_received(data)
        if self._waiting > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of this request is too long.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begin()

    def on_headers_complete(self) -> None:
        self._waiting = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._waiting = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._waiting = 0
        self._end()
        super().on_message_complete()

    def _begin(self) -> None:
        self._end()
        self._patience = self.loop.call_later(self.request_seconds, self.transport.close)

    def _end(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
