"""Tells of runs that finish, whichever command ran them: the store is asked every few seconds."""

import logging
import threading
from collections.abc import Callable

from storage.errors import PairloopError
from storage.run_records import RunKind, RunStatus
from storage.runs import RunState, runs
from storage.store import Store

log = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
_KINDS = (RunKind.GENERATE, RunKind.TRAIN, RunKind.EVALUATE)


class RoundWatch:
    """A thread that calls on_done once for every run that finishes from now on."""

    def __init__(
        self,
        store: Store,
        on_done: Callable[[dict[str, object]], None],
        *,
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        self._store = store
        self._on_done = on_done
        self._every = every_seconds
        self._stopped = threading.Event()
        self._told = {state.run.id for state in self._done()}
        self._thread = threading.Thread(target=self._watch, name="pairloop-rounds", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._stopped.set()
        self._thread.join(timeout=10.0)

    def _watch(self) -> None:
        while not self._stopped.wait(self._every):
            try:
                done = self._done()
            except PairloopError as error:
                log.warning("runs not looked at: %s", error)
                continue
            for state in reversed(done):
                if state.run.id not in self._told:
                    self._told.add(state.run.id)
                    self._on_done(
                        {
                            "run_id": state.run.id,
                            "kind": state.run.kind.value,
                            "round": state.run.round,
                            "message": state.message,
                            "finished_at": state.updated_at.isoformat(),
                        }
                    )

    def _done(self) -> list[RunState]:
        return [
            state
            for state in runs(self._store)
            if state.run.kind in _KINDS and state.status is RunStatus.DONE
        ]
