"""Whose judgment a key belongs to: a retried request must not be stored a second time.

Of what was stored before this server started only eight bytes per key are in memory; the store is
asked about a key that may be among them, which is one that somebody sends again after a restart.
"""

import numpy as np

from storage import judgments as judging
from storage.records import Judgment
from storage.store import Store


class JudgmentKeys:
    """Every key there is. Not thread-safe by itself."""

    def __init__(self, store: Store, *, below: int) -> None:
        """below: the row of the first judgment that is told of later."""
        self._store = store
        self._owners: dict[str, tuple[str, str]] = {}
        marks = judging.key_marks(store, below=below)["mark"]
        self._stored = np.sort(np.asarray(marks, dtype=np.uint64))

    def add(self, judgment: Judgment) -> None:
        self._owners[judgment.id] = (judgment.labeler, judgment.pair_id)

    def drop(self, judgment: Judgment) -> None:
        """It was not stored after all."""
        self._owners.pop(judgment.id, None)

    def owner(self, key: str) -> tuple[str, str] | None:
        """The labeler and the pair of the judgment with this key; None for a new key."""
        if key in self._owners:
            return self._owners[key]
        mark = np.uint64(judging.mark_of(key))
        at = int(np.searchsorted(self._stored, mark))
        if at == len(self._stored) or self._stored[at] != mark:
            return None
        return judging.owner_of_key(self._store, key)
