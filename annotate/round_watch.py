"""Tells of runs that end, whichever command ran them: the store is asked every few seconds."""

from collections.abc import Callable

from annotate.ticker import Ticker
from storage.run_records import RunKind, RunStatus
from storage.runs import RunState, runs
from storage.store import Store

EVERY_SECONDS = 5.0
_KINDS = (RunKind.GENERATE, RunKind.TRAIN, RunKind.EVALUATE)
_Tell = Callable[[dict[str, object]], None]


class RoundWatch:
    """A thread that calls on_done or on_failed once for every run that ends from now on.

    A run that was stopped, or whose process is gone, has failed; its status says which.
    """

    def __init__(
        self,
        store: Store,
        on_done: _Tell,
        *,
        on_failed: _Tell = lambda _payload: None,
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        self._store = store
        self._on_done, self._on_failed = on_done, on_failed
        self._told = {state.run.id for state in self._ended()}
        self._ticker = Ticker(self._look, name="rounds", every_seconds=every_seconds)

    def close(self) -> None:
        """Stop watching."""
        self._ticker.close()

    def _look(self) -> None:
        for state in reversed(self._ended()):
            if state.run.id not in self._told:
                self._told.add(state.run.id)
                done = state.status is RunStatus.DONE
                (self._on_done if done else self._on_failed)(
                    {
                        "run_id": state.run.id,
                        "kind": state.run.kind.value,
                        "round": state.run.round,
                        "status": state.status.value,
                        "message": state.message,
                        "finished_at": state.updated_at.isoformat(),
                    }
                )

    def _ended(self) -> list[RunState]:
        return [
            state
            for state in runs(self._store)
            if state.run.kind in _KINDS and state.status is not RunStatus.RUNNING
        ]
