"""A real OpenAI-compatible server on loopback that answers, and misbehaves, as scripted."""

import json
from collections.abc import Callable
from contextlib import contextmanager

from fastapi import FastAPI, Request, Response
from serving import listening

MODEL = "the-model"


def said(data: object, status: int = 200, **headers: str) -> Response:
    return Response(json.dumps(data), status, media_type="application/json", headers=headers)


class Script:
    """Answers like vLLM does; `before` may answer in its place, and text_only leaves the ids out."""

    def __init__(self, before: Callable[[dict], Response | None] = lambda _body: None) -> None:
        self.before = before
        self.text_only = False
        self.tempered = False
        self.cards = [{"id": MODEL, "owned_by": "vllm", "max_model_len": 512}]
        self.asked: list[dict] = []  # what was asked besides the first one-token trials
        self.headers: list[dict] = []
        self.adapters: list[dict] = []

    def completions(self, body: dict) -> Response:
        if self.text_only:
            return said({"error": {"message": "no such route"}}, 404)
        trial = body["max_tokens"] == 1
        if not trial:
            self.asked.append(body)
            if (found := self.before(body)) is not None:
                return found
        ids = [7] * min(body["max_tokens"], 3)
        choice = {"index": 0, "text": "an answer", "finish_reason": "stop", "stop_reason": None}
        if body.get("return_token_ids"):
            choice |= {"prompt_token_ids": body["prompt"], "token_ids": ids}
        if "logprobs" in body:
            one = -1.0 / (body["temperature"] if self.tempered else 1)
            choice["logprobs"] = {
                "token_logprobs": [one] * len(ids),
                "top_logprobs": [{"a": one}] * len(ids),
            }
        return said({"choices": [choice]})

    def chat(self, body: dict) -> Response:
        self.asked.append(body)
        if (found := self.before(body)) is not None:
            return found
        message = {"role": "assistant", "content": f"answer to {body['messages'][-1]['content']}"}
        return said({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


@contextmanager
def model_server(script: Script):
    """Yields the base address."""
    app = FastAPI()

    @app.get("/version")
    def version():
        return {"version": "9.9"}

    @app.get("/v1/models")
    def models(request: Request):
        script.headers.append(dict(request.headers))
        return {"object": "list", "data": script.cards}

    @app.post("/v1/load_lora_adapter")
    def load(body: dict):
        script.adapters.append(body)
        return Response("Success: LoRA adapter added.")

    @app.post("/v1/completions")
    def completions(request: Request, body: dict):
        script.headers.append(dict(request.headers))
        return script.completions(body)

    @app.post("/v1/chat/completions")
    def chat(request: Request, body: dict):
        script.headers.append(dict(request.headers))
        return script.chat(body)

    with listening(app, lifespan="off") as address:
        yield f"{address}/v1"
