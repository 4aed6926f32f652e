"""Answers for pages that ask again and again: worked out anew only when they must be."""

import time
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from annotate.config import Distribution
from storage.store import Store

T = TypeVar("T")
C = TypeVar("C", bound=Distribution)

SLOW_SECONDS = 0.5  # answers that take longer are kept for a while even though votes come in
REST = 20  # times what a slow answer took: at most a twentieth of the time goes into answers


class Kept(Generic[T, C]):
    """The answer about one store; safe to ask from several threads.

    It is the same object until `version`, which is cheap, or the settings change. Whoever asks while
    it is worked out anew gets the one before.
    """

    def __init__(
        self,
        work: Callable[[Store, C], T],
        version: Callable[[Store], tuple[int, ...]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work, self._version, self._clock = work, version, clock
        self._lock = Lock()
        self._kept: tuple[tuple[int, ...], C, T] | None = None
        self._good_until = 0.0

    def value(self, store: Store, config: C) -> T:
        """The answer under these settings."""
        before = self._kept
        usable = before is not None and before[1] == config
        if not self._lock.acquire(blocking=not usable):
            assert before is not None
            return before[2]
        try:
            # Read before the votes: what comes in between makes the answer new again, not old.
            version = self._version(store)
            if self._kept is not None:
                known, under, answer = self._kept
                if under == config and (known == version or self._clock() < self._good_until):
                    return answer
            began = self._clock()
            answer = self._work(store, config)
            ended = self._clock()
            took = ended - began
            self._kept = (version, config, answer)
            self._good_until = ended + REST * took if took > SLOW_SECONDS else ended
            return answer
        finally:
            self._lock.release()


class PerStore(Generic[T]):
    """One thing for each open store, made when first asked for, gone with the store."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: WeakKeyDictionary[Store, T] = WeakKeyDictionary()
        self._making = Lock()

    def of(self, store: Store) -> T:
        with self._making:
            if store not in self._made:
                self._made[store] = self._make()
            return self._made[store]
