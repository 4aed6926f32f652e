"""Answers for pages that ask again and again: worked out anew only when they must be."""

import logging
import time
from collections.abc import Callable
from threading import Lock, Thread
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from annotate.config import Distribution
from storage.errors import StoreError
from storage.store import Store

_log = logging.getLogger(__name__)

T = TypeVar("T")
C = TypeVar("C", bound=Distribution)

SLOW_SECONDS = 0.5  # answers that take longer are kept for a while even though votes come in
REST = 20  # times what a slow answer took: at most a twentieth of the time goes into answers


class Kept(Generic[T, C]):
    """The answer about one store; safe to ask from several threads.

    It is the same object until `version`, which is cheap, or the settings change. Who asks for the
    `value` waits for the first answer, for one under other settings, and for one that is quick. A
    slow one is worked out anew in a thread of its own while everybody gets the one before.
    """

    def __init__(
        self,
        work: Callable[[Store, C], T],
        version: Callable[[Store], tuple[int, ...]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work, self._version, self._clock = work, version, clock
        self._lock = Lock()  # held by whoever works; by the thread in its stead
        self._kept: tuple[tuple[int, ...], C, T] | None = None
        self._slow = False
        self._good_until = 0.0

    def value(self, store: Store, config: C) -> T:
        """The answer under these settings."""
        before = self._kept
        usable = before is not None and before[1] == config
        if not self._lock.acquire(blocking=not usable):
            assert before is not None
            return before[2]
        working = False
        try:
            # Read before the votes: what comes in between makes the answer new again, not old.
            version = self._version(store)
            if self._kept is not None and self._kept[1] == config:
                known, _, answer = self._kept
                if known == version or self._clock() < self._good_until:
                    return answer
                if self._slow:
                    self._start_behind(store, config)
                    working = True
                    return answer
            return self._anew(store, config, version)
        finally:
            if not working:
                self._lock.release()

    def soon(self, store: Store, config: C, *, patience: float) -> T | None:
        """The answer, or None where it would be the first and takes longer than `patience` seconds.

        That one goes on in a thread of its own; a later call has it.
        """
        if self._usable(config):
            return self.value(store, config)
        if not self._lock.acquire(timeout=patience):
            return None
        if not self._usable(config):
            self._start_behind(store, config)
            if not self._lock.acquire(timeout=patience):
                return None
        self._lock.release()
        return self.value(store, config)

    def _usable(self, config: C) -> bool:
        return self._kept is not None and self._kept[1] == config

    def _anew(self, store: Store, config: C, version: tuple[int, ...]) -> T:
        began = self._clock()
        try:
            answer = self._work(store, config)
            self._kept = (version, config, answer)
            return answer
        finally:
            ended = self._clock()
            took = ended - began
            self._slow = took > SLOW_SECONDS
            self._good_until = ended + REST * took if self._slow else ended

    def _start_behind(self, store: Store, config: C) -> None:
        """Hand the lock over to a thread that works."""
        Thread(target=self._behind, args=(store, config), daemon=True).start()

    def _behind(self, store: Store, config: C) -> None:
        try:
            self._anew(store, config, self._version(store))
        except StoreError as error:  # closed meanwhile, or away: the next one asks again
            _log.warning("No newer figures: %s", error)
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
