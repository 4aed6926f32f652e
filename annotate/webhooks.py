"""Webhooks: tells configured addresses of events, from a thread of its own.

    POST {url}
    X-Pairloop-Event: pair.settled
    X-Pairloop-Delivery: 0b6c...          the same for every attempt
    X-Pairloop-Timestamp: 1767323045      seconds since 1970, when this attempt was made
    X-Pairloop-Signature: sha256=...      HMAC-SHA256 of "{timestamp}.{body}", with a secret only
    {"event": "pair.settled", "id": "0b6c...", "at": "2026-01-02T03:04:05", "data": {...}}

A delivery that fails is tried again a few times, then left; nothing here ever waits for a receiver.
"""

import hashlib
import hmac
import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

import httpx

from annotate.config import Webhook
from storage.errors import ConfigurationError
from storage.records import Consensus
from storage.store import utc_now

log = logging.getLogger(__name__)

SECRET = "PAIRLOOP_WEBHOOK_SECRET"  # noqa: S105 - the variable's name
PAIR_SETTLED, ROUND_READY, ROUND_FAILED = "pair.settled", "round.ready", "round.failed"
EVENTS = (PAIR_SETTLED, ROUND_READY, ROUND_FAILED)

WAITS_SECONDS = (1.0, 5.0, 30.0)  # before the second attempt, the third and the last
_WAITING = 1000  # deliveries at most; a receiver that is away must not fill the memory
_TIMEOUT = httpx.Timeout(10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Delivery:
    url: str
    event: str
    id: str
    body: bytes


class Webhooks:
    """One per labeling server. on_failure is told (event, url, why) of deliveries given up."""

    def __init__(
        self,
        webhooks: Sequence[Webhook],
        *,
        secret: str = "",
        on_failure: Callable[[str, str, str], None] | None = None,
        waits_seconds: Sequence[float] = WAITS_SECONDS,
    ) -> None:
        for number, hook in enumerate(webhooks, start=1):
            try:
                _public(hook.url)
            except (httpx.InvalidURL, UnicodeError) as error:
                raise ConfigurationError(
                    f"annotate.webhooks: the url of number {number} can't be used: {error}."
                ) from error
        self._webhooks = tuple(webhooks)
        self._secret = secret.encode()
        self._on_failure = on_failure
        self._waits = tuple(waits_seconds)
        self._queues: dict[str, queue.Queue[_Delivery]] = {}
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        for url in dict.fromkeys(hook.url for hook in self._webhooks):
            # One thread per address: one that is slow or away holds up nobody else's news.
            waiting: queue.Queue[_Delivery] = queue.Queue(_WAITING)
            self._queues[url] = waiting
            thread = threading.Thread(
                target=self._deliver_all, args=(waiting,), name="pairloop-webhook", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def wants(self, event: str) -> bool:
        """Whether anybody is to be told of it."""
        return any(event in hook.events for hook in self._webhooks)

    def notify(self, event: str, payload: Mapping[str, object]) -> None:
        """Tell those who want it, later; returns at once."""
        delivery = uuid4().hex
        message = {"event": event, "id": delivery, "at": utc_now().isoformat(), "data": payload}
        body = json.dumps(message, ensure_ascii=False, default=str).encode()
        for hook in self._webhooks:
            if event not in hook.events:
                continue
            try:
                self._queues[hook.url].put_nowait(
                    _Delivery(url=hook.url, event=event, id=delivery, body=body)
                )
            except queue.Full:
                self._failed(event, hook.url, f"{_WAITING} deliveries wait already")

    def pair_settled(self, consensus: Consensus) -> None:
        """Tell of a pair that settled."""
        self.notify(
            PAIR_SETTLED,
            {
                "pair_id": consensus.pair_id,
                "verdict": consensus.verdict.value if consensus.verdict else None,
                "probability_first": consensus.probability_first,
                "votes": consensus.votes,
                "reason": consensus.reason,
                "settled_at": consensus.created_at.isoformat(),
            },
        )

    def close(self, *, seconds: float = 2.0) -> None:
        """Stop; what could not be delivered by then is left."""
        self._stopped.set()
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(timeout=max(0.0, end - time.monotonic()))

    def _deliver_all(self, waiting: queue.Queue[_Delivery]) -> None:
        with httpx.Client(timeout=_TIMEOUT, follow_redirects=False, trust_env=False) as client:
            while True:
                try:
                    delivery = waiting.get(timeout=0.2)
                except queue.Empty:
                    if self._stopped.is_set():
                        return
                    continue
                self._deliver(client, delivery)

    def _deliver(self, client: httpx.Client, delivery: _Delivery) -> None:
        why = ""
        for wait in (0.0, *self._waits):
            if self._stopped.wait(wait) and wait:
                break
            why = self._attempt(client, delivery)
            if not why:
                return
        self._failed(delivery.event, delivery.url, why)

    def _attempt(self, client: httpx.Client, delivery: _Delivery) -> str:
        """Why it failed, "" if it did not. What the receiver answered is nobody's business."""
        stamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "pairloop",
            "X-Pairloop-Event": delivery.event,
            "X-Pairloop-Delivery": delivery.id,
            "X-Pairloop-Timestamp": stamp,
        }
        if self._secret:
            headers["X-Pairloop-Signature"] = signature(
                self._secret, timestamp=stamp, body=delivery.body
            )
        try:
            with client.stream(
                "POST", delivery.url, content=delivery.body, headers=headers
            ) as answer:
                status = answer.status_code  # the body is not even read
        except (httpx.HTTPError, UnicodeError) as error:  # UnicodeError: no name to look up
            return type(error).__name__
        return "" if 200 <= status < 300 else f"status {status}"

    def _failed(self, event: str, url: str, why: str) -> None:
        log.warning("webhook given up event=%s url=%s why=%s", event, _public(url), why)
        if self._on_failure is not None:
            try:
                self._on_failure(event, _public(url), why)
            except Exception:  # the thread must live on, whatever the store says
                log.exception("webhook failure not noted")


def signature(secret: bytes, *, timestamp: str, body: bytes) -> str:
    """What X-Pairloop-Signature must be; compare with hmac.compare_digest."""
    made = hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={made.hexdigest()}"


def _public(url: str) -> str:
    """The address without user information and query, which may hold a key."""
    parts = httpx.URL(url)
    return f"{parts.scheme}://{parts.host}{f':{parts.port}' if parts.port else ''}{parts.path}"
