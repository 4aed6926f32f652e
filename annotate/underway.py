"""Judgments on their way to the store, by the keys of the requests they came with."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Underway:
    """`begin` and `end` need the desk's lock, which `settled` takes."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._pending: dict[str, threading.Event] = {}

    def begin(self, key: str) -> None:
        self._pending[key] = threading.Event()

    def end(self, key: str) -> None:
        """It is durable, or forgotten again."""
        self._pending.pop(key).set()

    @contextmanager
    def settled(self, key: str) -> Iterator[None]:
        """The lock, once no request with this key is on its way to the store any more.

        A retried request is answered after the first one is durable, or takes its place.
        """
        while True:
            with self._lock:
                pending = self._pending.get(key)
                if pending is None:
                    yield
                    return
            pending.wait()
