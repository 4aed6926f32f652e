"""A real OpenAI-compatible server on loopback whose answers are scripted by what it is asked."""

import json
import re
from collections.abc import Callable
from contextlib import contextmanager

from fastapi import FastAPI, Request, Response
from serving import listening

LAST = '{{"verdict": "{}"}}'


class Asked:
    """One request as the server saw it."""

    def __init__(self, body: dict, headers: dict) -> None:
        self.body = body
        self.headers = headers
        self.system, self.user = (m["content"] for m in body["messages"])
        self.code = re.match(r"The code of this request is (\w+)\.", self.user)[1]
        self.conversation = self._between("conversation")
        self.left = self._between("answer A")
        self.right = self._between("answer B")

    def _between(self, name: str) -> str:
        begin, end = f"<<<{name} {self.code}>>>\n", f"\n<<<end of {name} {self.code}>>>"
        (text,) = re.findall(f"{re.escape(begin)}(.*){re.escape(end)}", self.user, re.DOTALL)
        return text


def chat(text: str, *, finish_reason: str = "stop") -> Response:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return Response(json.dumps({"choices": [choice]}), media_type="application/json")


def longer(asked: Asked) -> Response:
    """Prefer the longer answer, wherever it stands."""
    better = "A" if len(asked.left) > len(asked.right) else "B"
    return chat(f"The longer one.\n{LAST.format(better)}")


def always_a(_asked: Asked) -> Response:
    return chat("The first I saw.\n[[A]]")


Script = Callable[[Asked], Response]


@contextmanager
def judge_server(script: Script):
    """Yields the base address and the list of what was asked."""
    asked: list[Asked] = []
    app = FastAPI()

    @app.post("/v1/chat/completions")
    def completions(request: Request, body: dict) -> Response:
        found = Asked(body, dict(request.headers))
        asked.append(found)
        return script(found)

    with listening(app, lifespan="off") as address:
        yield f"{address}/v1", asked
