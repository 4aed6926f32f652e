"""A webhook receiver: real HTTP, and it can refuse, redirect, or be slow."""

import asyncio

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response


class Receiver:
    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.elsewhere = 0
        self.answers: list[int] = []  # statuses of the next answers; 200 after them
        self.delay = 0.0
        self.app = FastAPI()

        @self.app.post("/hook")
        async def hook(request: Request):
            body = await request.body()
            self.got.append((dict(request.headers), body))
            await asyncio.sleep(self.delay)
            status = self.answers.pop(0) if self.answers else 200
            if status in (302, 307):
                return RedirectResponse("/elsewhere", status_code=status)
            return Response("private words of the receiver", status_code=status)

        @self.app.api_route("/elsewhere", methods=["GET", "POST"])
        def elsewhere():
            self.elsewhere += 1
            return {}
