"""The end of the labeling server: what is under way is answered, what comes after is not taken."""

import asyncio

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from annotate.access import path_of, route_to
from annotate.web_session import HEADERS

MESSAGE = "The server is being stopped, so this was not taken. It is sent again once it is back."
RETRY_SECONDS = 5
_ENDLESS = "/gradio_api/heartbeat/"  # each open page of Gradio's holds such an answer
_LOOK_SECONDS = 0.5


class Stopping:
    """Whether the server is being stopped; `gate` is the middleware that refuses from then on.

    503 makes the page keep a decision in its outbox, where it waits for the next server.
    """

    def __init__(self) -> None:
        self._begun = False

    def begin(self) -> None:
        """Refuse every request that comes from now on."""
        self._begun = True

    def gate(self, app: ASGIApp) -> ASGIApp:
        async def pass_or_refuse(scope: Scope, receive: Receive, send: Send) -> None:
            if self._begun and scope["type"] == "http":
                scope.setdefault("state", {})["route"] = path_of(route_to(scope))
                headers = HEADERS | {"Retry-After": str(RETRY_SECONDS), "Connection": "close"}
                refusal = JSONResponse({"detail": MESSAGE}, status_code=503, headers=headers)
                await refusal(scope, receive, send)
                return
            endless = scope["type"] == "http" and _ENDLESS in scope["path"]
            await app(scope, self._until_begun(receive) if endless else receive, send)

        return pass_or_refuse

    def _until_begun(self, receive: Receive) -> Receive:
        """An answer without an end has one once the server ends: its reader seems to be gone."""

        async def receive_or_end() -> Message:
            said = asyncio.ensure_future(receive())
            try:
                while not self._begun:
                    if (await asyncio.wait({said}, timeout=_LOOK_SECONDS))[0]:
                        return said.result()
            finally:
                said.cancel()
            return {"type": "http.disconnect"}

        return receive_or_end
