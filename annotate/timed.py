"""A question to something that may hang, answered within a time limit."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Timed(Generic[T]):
    """Asks in one thread of its own, never in two at once, and keeps the answer for a moment.

    So neither a store that hangs nor a crowd that asks takes the threads that serve people. To be
    awaited in one event loop.
    """

    def __init__(self, ask: Callable[[], T], *, limit_seconds: float, keep_seconds: float) -> None:
        self._ask = ask
        self._limit, self._keep = limit_seconds, keep_seconds
        self._future: Future[T] | None = None
        self._begun = 0.0

    async def answer(self) -> T:
        """What it says; TimeoutError if it takes too long, or what the question raised."""
        future = self._future
        if future is None or (future.done() and time.monotonic() - self._begun > self._keep):
            future, self._begun = Future(), time.monotonic()
            self._future = future
            # A daemon, so that one which hangs keeps no process from ending.
            threading.Thread(target=self._work, args=(future,), daemon=True).start()
        return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), self._limit)

    def _work(self, future: Future[T]) -> None:
        try:
            future.set_result(self._ask())
        except BaseException as error:  # noqa: BLE001 - whoever asked raises it
            future.set_exception(error)
