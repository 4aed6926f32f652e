"""A judge behind any OpenAI-compatible address.

Of a server's error only its status is told: bodies may repeat what was sent.
"""

from collections.abc import Generator, Iterable, Sequence
from typing import Any

from annotate.config import Judge
from annotate.judge import CUT_OFF, EMPTY, Conversation, Reply
from storage.model_server import NO_JSON, WAITS, Address, Answer, ModelServer, Question

MAX_BYTES = 4_000_000  # of one reply
NO_COMPLETION = "reply is no chat completion"


class HttpJudge:
    """Asks config.model at config.url, config.concurrency requests at a time."""

    def __init__(self, config: Judge, *, key: str, waits: Sequence[float] = WAITS) -> None:
        assert config.url is not None, "without an address the local engine is the judge"
        address = Address(
            url=config.url,
            setting="annotate.judge",
            key_name="PAIRLOOP_JUDGE_KEY",
            called="The judge's server",
            concurrency=config.concurrency,
            timeout_seconds=config.timeout_seconds,
            max_bytes=MAX_BYTES,
        )
        self._server = ModelServer(address, key=key, waits=waits)
        self._config = config
        self.name = f"{config.model} at {self._server.host}"

    def ask(self, conversations: Iterable[Conversation]) -> Generator[Reply, None, None]:
        answers = self._server.ask(self._question(c) for c in conversations)
        try:
            yield from (_reply(answer) for answer in answers)
        finally:
            answers.close()

    def _question(self, conversation: Conversation) -> Question:
        body = {
            "model": self._config.model,
            "messages": [m.as_dict() for m in conversation.messages],
            "temperature": 0,
            "max_tokens": self._config.max_tokens,
        }
        return Question(key=conversation.key, url=self._server.at("/chat/completions"), body=body)


def _reply(answer: Answer) -> Reply:
    text, failure = "", NO_COMPLETION if answer.failure == NO_JSON else answer.failure
    if not failure:
        text, failure = _text_of(answer.data)
    return Reply(key=answer.key, text=text, failure=failure, seconds=answer.seconds)


def _text_of(said: Any) -> tuple[str, str]:
    """The reply's text, or "" and why there is none."""
    try:
        choice = said["choices"][0]
        text = choice["message"]["content"]
    except (LookupError, TypeError):
        return "", NO_COMPLETION
    if choice.get("finish_reason") == "length":
        return "", CUT_OFF
    if not isinstance(text, str) or not text.strip():
        return "", EMPTY
    return text, ""
