"""A judge behind any OpenAI-compatible address: many requests in flight, patient with its errors.

The key is read by the caller from the environment and goes into one header; it is in no message,
no log and no row. Of a server's error only its status is told: bodies may repeat what was sent.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import Generator, Iterable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from annotate.config import Judge
from annotate.judge import CUT_OFF, EMPTY, Conversation, Reply
from storage.errors import ConfigurationError, ModelError

log = logging.getLogger(__name__)

WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds between attempts, where the server names none
MOST_TIMEOUTS = 2  # of one request: a model too slow for it is too slow the fifth time as well
LONGEST_WAIT = 300.0  # that a server's Retry-After is followed
MAX_BYTES = 4_000_000  # of one reply
_TRY_AGAIN = (408, 425, 429)  # and every 5xx

NO_CONNECTION = "no connection"
TIMED_OUT = "timed out"
HUNG_UP = "connection broken off"
NO_COMPLETION = "reply is no chat completion"
TOO_BIG = f"reply larger than {MAX_BYTES // 1_000_000} MB"


class HttpJudge:
    """Asks config.model at config.url, config.concurrency requests at a time."""

    def __init__(self, config: Judge, *, key: str, waits: Sequence[float] = WAITS) -> None:
        assert config.url is not None, "without an address the local engine is the judge"
        try:
            url = httpx.URL(config.url)
        except httpx.InvalidURL as error:
            raise ConfigurationError(
                f"annotate.judge.url {config.url!r} is no web address: {error}."
            ) from error
        if url.userinfo or url.query or not url.host or (url.port or 0) > 65535:
            raise ConfigurationError(
                "annotate.judge.url has a user name, a query, no host or no possible port. Give the plain address of "
                "the server, and the key in the environment as PAIRLOOP_JUDGE_KEY."
            )
        key = key.strip()
        if any(not 33 <= ord(c) <= 126 for c in key):
            raise ConfigurationError(
                "PAIRLOOP_JUDGE_KEY holds spaces or characters that no key has. Set it again."
            )
        if key and url.scheme == "http" and url.host not in _LOOPBACK:
            log.warning("PAIRLOOP_JUDGE_KEY goes to %s unencrypted; use https.", url.host)
        base = config.url.rstrip("/")
        path = "/chat/completions"
        self._url = httpx.URL(base if base.endswith(path) else base + path)
        self._config = config
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._waits = waits
        self._not_before = 0.0  # monotonic time until which the server wants no requests
        self.name = f"{config.model} at {url.host}"

    def ask(self, conversations: Iterable[Conversation]) -> Generator[Reply, None, None]:
        waiting = iter(conversations)
        flying: set[asyncio.Task[Reply]] = set()
        loop = asyncio.new_event_loop()
        client = httpx.AsyncClient(
            headers=self._headers | {"Accept-Encoding": "identity"},
            timeout=self._config.timeout_seconds,
            limits=httpx.Limits(max_connections=self._config.concurrency),
            follow_redirects=False,
        )
        try:
            more = True
            while more or flying:
                while more and len(flying) < self._config.concurrency:
                    found = next(waiting, None)
                    more = found is not None
                    if found is not None:
                        flying.add(loop.create_task(self._reply(client, found)))
                if flying:
                    wait = asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
                    done, flying = loop.run_until_complete(wait)
                    errors = [e for task in done if (e := task.exception())]
                    yield from [t.result() for t in done if t.exception() is None]
                    if errors:
                        raise errors[0]
        finally:
            for task in flying:
                task.cancel()
            loop.run_until_complete(_close(client, flying))
            loop.close()

    async def _reply(self, client: httpx.AsyncClient, conversation: Conversation) -> Reply:
        """One request, tried again while that may help."""
        key, began, failure, timeouts = conversation.key, time.monotonic(), "", 0
        body = {
            "model": self._config.model,
            "messages": [m.as_dict() for m in conversation.messages],
            "temperature": 0,
            "max_tokens": self._config.max_tokens,
        }
        content = json.dumps(body)
        for wait in (*self._waits, None):
            await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
            asked: float | None = None
            try:
                async with asyncio.timeout(self._config.timeout_seconds):
                    status, headers, data = await self._post(client, content)
            except (TimeoutError, httpx.TimeoutException):
                failure = TIMED_OUT
                timeouts += 1
                if timeouts == MOST_TIMEOUTS:
                    break
            except httpx.ConnectError:
                failure = NO_CONNECTION
            except httpx.RequestError:
                failure = HUNG_UP
            else:
                self._refuse_hopeless(status)
                if status == httpx.codes.OK:
                    text, failure = _text_of(data)
                    return Reply(
                        key=key, text=text, failure=failure, seconds=time.monotonic() - began
                    )
                failure = f"HTTP {status}"
                if status not in _TRY_AGAIN and status < 500:
                    break
                asked = retry_after(headers.get("Retry-After", ""), now=datetime.now(UTC))
            if wait is None:
                break
            if asked is not None:
                # The others wait too: a server that is full is not asked by eight at once.
                self._not_before = max(self._not_before, time.monotonic() + asked)
            else:
                await asyncio.sleep(wait * random.uniform(0.75, 1.25))
        return Reply(key=key, failure=failure, seconds=time.monotonic() - began)

    async def _post(
        self, client: httpx.AsyncClient, content: str
    ) -> tuple[int, httpx.Headers, bytes]:
        headers = {"Content-Type": "application/json"}
        async with client.stream("POST", self._url, content=content, headers=headers) as answer:
            data = bytearray()
            async for part in answer.aiter_bytes():
                data += part
                if len(data) > MAX_BYTES:
                    break
            return answer.status_code, answer.headers, bytes(data)

    def _refuse_hopeless(self, status: int) -> None:
        """Raise for what the next request would meet as well."""
        host = self._url.host
        if status in (401, 403):
            raise ModelError(
                f"The judge's server at {host} refused the key (HTTP {status}). "
                "Set PAIRLOOP_JUDGE_KEY to one that may use it, then run this again."
            )
        if status in (404, 405):
            raise ModelError(
                f"The judge's server at {host} has no such address or model (HTTP {status}). Check "
                "annotate.judge.url (it often ends in /v1) and annotate.judge.model."
            )
        if 300 <= status < 400:
            raise ModelError(
                f"The judge's server at {host} sends requests elsewhere (HTTP {status}), which is "
                "not followed: the key would go along. Put the final address into "
                "annotate.judge.url."
            )


def retry_after(value: str, *, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for (a number or a date), at most LONGEST_WAIT."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
    if seconds != seconds:  # noqa: PLR0124 - nan
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _text_of(data: bytes) -> tuple[str, str]:
    """The reply's text, or "" and why there is none."""
    if len(data) > MAX_BYTES:
        return "", TOO_BIG
    try:
        said: Any = json.loads(data)
        choice = said["choices"][0]
        text = choice["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return "", NO_COMPLETION
    if choice.get("finish_reason") == "length":
        return "", CUT_OFF
    if not isinstance(text, str) or not text.strip():
        return "", EMPTY
    return text, ""


async def _close(client: httpx.AsyncClient, cancelled: Iterable[asyncio.Task[Reply]]) -> None:
    await asyncio.gather(*cancelled, return_exceptions=True)
    await client.aclose()


_LOOPBACK = ("localhost", "127.0.0.1", "::1")
