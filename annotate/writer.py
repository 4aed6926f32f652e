"""Many people's judgments in few commits: whoever comes while a commit runs shares the next one.

A commit costs milliseconds however many rows it has. Each caller returns when its own rows are
durable, and not before.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from storage.errors import PairloopError
from storage.records import Consensus, Judgment
from storage.store import Store

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Entry:
    judgment: Judgment
    consensus: Sequence[Consensus]
    done: bool = False
    error: BaseException | None = field(default=None)


class JudgmentWriter:
    """Group commit: thread-safe, without a thread of its own."""

    def __init__(self, store: Store) -> None:
        self.on_commit: Callable[[float, int], None] = _nobody  # told of seconds and rows stored
        self._store = store
        self._guard = threading.Lock()
        self._commit = threading.Lock()
        self._waiting: list[_Entry] = []

    def append(self, judgment: Judgment, consensus: Sequence[Consensus]) -> None:
        """Store a judgment and what follows from it; durable on return, raises if it is not."""
        entry = _Entry(judgment, consensus)
        with self._guard:
            self._waiting.append(entry)
        with self._commit:
            if not entry.done:  # nobody took it along while we waited for our turn
                with self._guard:
                    batch, self._waiting = self._waiting, []
                self._write(batch)
        if entry.error is not None:
            raise entry.error

    def _write(self, batch: Sequence[_Entry]) -> None:
        began = time.perf_counter()
        try:
            self._store.append([entry.judgment for entry in batch])
        except BaseException as error:  # noqa: BLE001 - every waiting caller raises it
            self.on_commit(time.perf_counter() - began, 0)
            if len(batch) == 1 or not isinstance(error, PairloopError):
                for entry in batch:
                    entry.error, entry.done = error, True
                return
            for entry in batch:  # one bad row must not cost the others theirs
                self._write([entry])
            return
        self.on_commit(time.perf_counter() - began, len(batch))
        try:
            self._store.append([row for entry in batch for row in entry.consensus])
        except PairloopError as error:
            # The judgments are safe, and `settle` makes the consensus of them again.
            log.warning("consensus of %d judgments was not stored: %s", len(batch), error)
        for entry in batch:
            entry.done = True


def _nobody(_seconds: float, _rows: int) -> None:
    """Who is told of commits where nobody counts them."""
