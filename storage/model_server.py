"""A model behind an OpenAI-compatible address: many requests in flight, patient with its errors.

generate's engine and the judge ask through it. The key is read by the caller from the environment
and goes into one header; it is in no message, no log and no row.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from storage.errors import ConfigurationError, ModelError

log = logging.getLogger(__name__)

WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds between attempts, where the server names none
MOST_TIMEOUTS = 2  # of one request: a model too slow for it is too slow the fifth time as well
LONGEST_WAIT = 300.0  # that a server's Retry-After is followed
DETAIL_CHARS = 300
_TRY_AGAIN = (408, 425, 429)  # and every 5xx
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

NO_CONNECTION = "no connection"
TIMED_OUT = "timed out"
HUNG_UP = "connection broken off"
NO_JSON = "reply is no JSON"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a model is served, how hard it may be asked, and what messages call it."""

    url: str  # often ends in /v1
    setting: str  # the table of pairloop.toml that holds url and model
    key_name: str  # the environment variable that holds the key
    called: str  # "The judge's server"
    concurrency: int
    timeout_seconds: float
    requests_per_minute: float | None = None
    max_bytes: int  # of one reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request. body None: a GET. must_exist: a server without such a path stops the run."""

    key: str
    url: httpx.URL
    body: Mapping[str, Any] | None
    must_exist: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of it after all attempts: data, or why there is none.

    status: the last one heard, None: none was. detail: what the server said of its refusal; it may
    repeat what was sent.
    """

    key: str
    status: int | None
    data: Any = None
    failure: str = ""
    detail: str = ""
    seconds: float


class ModelServer:
    """Asks address.concurrency questions at a time."""

    def __init__(self, address: Address, *, key: str, waits: Sequence[float] = WAITS) -> None:
        self._base = _checked_url(address)
        key = key.strip()
        if any(not 33 <= ord(c) <= 126 for c in key):
            raise ConfigurationError(
                f"{address.key_name} holds spaces or characters that no key has. Set it again."
            )
        if key and self._base.scheme == "http" and self._base.host not in _LOOPBACK:
            log.warning("%s goes to %s unencrypted; use https.", address.key_name, self._base.host)
        self._address = address
        self._key = key
        self._waits = waits
        self._not_before = 0.0  # monotonic time until which the server wants no requests
        self._next_turn = 0.0  # monotonic time of the next request under requests_per_minute
        self.host = self._base.host

    def at(self, path: str) -> httpx.URL:
        """A path below the configured address."""
        return httpx.URL(f"{self._base}{path}")

    def at_root(self, path: str) -> httpx.URL:
        """A path beside the API's /v1."""
        return httpx.URL(f"{str(self._base).removesuffix('/v1')}{path}")

    def ask(self, questions: Iterable[Question]) -> Generator[Answer, None, None]:
        """Answers as they come; questions are taken as they are needed.

        Raises ModelError for what every further question would meet as well: a refused key, a
        redirect, a missing address. Closing it takes back what is in flight.
        """
        waiting = iter(questions)
        flying: set[asyncio.Task[Answer]] = set()
        loop = asyncio.new_event_loop()
        client = httpx.AsyncClient(
            headers=({"Authorization": f"Bearer {self._key}"} if self._key else {})
            | {"Accept-Encoding": "identity"},
            timeout=self._address.timeout_seconds,
            limits=httpx.Limits(max_connections=self._address.concurrency),
            follow_redirects=False,
        )
        try:
            more = True
            while more or flying:
                while more and len(flying) < self._address.concurrency:
                    found = next(waiting, None)
                    more = found is not None
                    if found is not None:
                        flying.add(loop.create_task(self._answer(client, found)))
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

    def ask_one(self, question: Question) -> Answer:
        (answer,) = self.ask([question])
        return answer

    async def _answer(self, client: httpx.AsyncClient, question: Question) -> Answer:
        """One question, asked again while that may help."""
        began, failure, detail, timeouts = time.monotonic(), "", "", 0
        status: int | None = None
        for wait in (*self._waits, None):
            await self._turn()
            asked: float | None = None
            try:
                async with asyncio.timeout(self._address.timeout_seconds):
                    status, headers, data = await self._send(client, question)
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
                self._refuse_hopeless(status, must_exist=question.must_exist)
                if status == httpx.codes.OK:
                    said, failure = self._read(data)
                    return Answer(
                        key=question.key,
                        status=status,
                        data=said,
                        failure=failure,
                        seconds=time.monotonic() - began,
                    )
                failure, detail = f"HTTP {status}", self._detail(data)
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
        return Answer(
            key=question.key,
            status=status,
            failure=failure,
            detail=detail,
            seconds=time.monotonic() - began,
        )

    async def _turn(self) -> None:
        """Wait for the rate limit, the configured one and the server's."""
        if self._address.requests_per_minute is not None:
            turn = max(self._next_turn, time.monotonic())
            self._next_turn = turn + 60 / self._address.requests_per_minute
            await asyncio.sleep(turn - time.monotonic())
        await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))

    async def _send(
        self, client: httpx.AsyncClient, question: Question
    ) -> tuple[int, httpx.Headers, bytes]:
        body = question.body
        sent = (
            client.stream("GET", question.url)
            if body is None
            else client.stream(
                "POST",
                question.url,
                content=json.dumps(body),
                headers={"Content-Type": "application/json"},
            )
        )
        async with sent as answer:
            data = bytearray()
            async for part in answer.aiter_bytes():
                data += part
                if len(data) > self._address.max_bytes:
                    break
            return answer.status_code, answer.headers, bytes(data)

    def _read(self, data: bytes) -> tuple[Any, str]:
        """The reply, or None and why it is none."""
        if len(data) > self._address.max_bytes:
            return None, f"reply larger than {self._address.max_bytes // 1_000_000} MB"
        try:
            return json.loads(data), ""
        except (ValueError, RecursionError):
            return None, NO_JSON

    def _detail(self, data: bytes) -> str:
        """What a server says of its refusal, without the key it may repeat."""
        try:
            said: Any = json.loads(data[:100_000])
            said = said.get("error", said)
            text = said if isinstance(said, str) else said["message"]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return ""
        line = " ".join(str(text).split())
        return (line.replace(self._key, "***") if self._key else line)[:DETAIL_CHARS]

    def _refuse_hopeless(self, status: int, *, must_exist: bool) -> None:
        """Raise for what the next request would meet as well."""
        here, setting = f"{self._address.called} at {self.host}", self._address.setting
        if status in (401, 403):
            raise ModelError(
                f"{here} refused the key (HTTP {status}). "
                f"Set {self._address.key_name} to one that may use it, then run this again."
            )
        if status in (404, 405) and must_exist:
            raise ModelError(
                f"{here} has no such address or model (HTTP {status}). Check "
                f"{setting}.url (it often ends in /v1) and {setting}.model."
            )
        if 300 <= status < 400:
            raise ModelError(
                f"{here} sends requests elsewhere (HTTP {status}), which is "
                "not followed: the key would go along. Put the final address into "
                f"{setting}.url."
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


def _checked_url(address: Address) -> httpx.URL:
    name = f"{address.setting}.url"
    base = address.url.rstrip("/").removesuffix("/completions").removesuffix("/chat")
    try:
        url = httpx.URL(base)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"{name} {address.url!r} is no web address: {error}.") from error
    if url.userinfo or url.query or not url.host or (url.port or 0) > 65535:
        raise ConfigurationError(
            f"{name} has a user name, a query, no host or no possible port. Give the plain address "
            f"of the server, and the key in the environment as {address.key_name}."
        )
    return url


async def _close(client: httpx.AsyncClient, cancelled: Iterable[asyncio.Task[Answer]]) -> None:
    await asyncio.gather(*cancelled, return_exceptions=True)
    await client.aclose()
