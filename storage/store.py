"""The store: append rows, query by name. Where the rows are is the store's business.

    with Store(workspace / "pairloop.duckdb") as store:
        store.append([prompt])
        store.query("prompts_by_split", split="train")

A command takes the file for one unit of work and gives it back, so several commands can work
side by side; while `pairloop annotate` holds the file it serves it, and the others attach.
On many machines the rows are in a lake (storage/lake.py), which all of them write to at once.
A retried append is harmless: rows are content-addressed and the views keep one of each.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Protocol, Self, TypeVar

import pyarrow as pa

from storage import lake, quack
from storage.codec import TABLES, Record, decode, encode
from storage.embedded import EmbeddedConnection, FileHeldError, GivenUpError
from storage.errors import StoreError
from storage.held import HeldFile
from storage.lake import LakeAddress, LakeConnection
from storage.sql_files import queries

R = TypeVar("R", bound=Record)

WAIT_SECONDS = 10.0  # how long a short hold by another command is waited out


class Connection(Protocol):
    """What the file, a served file and a lake can do."""

    def append(self, table: str, rows: pa.Table) -> None: ...
    def query(self, sql: str, params: Mapping[str, object]) -> pa.Table: ...
    def close(self) -> None: ...


def utc_now() -> datetime:
    """The time as it is stored: naive, UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


def to_text(database: Path | LakeAddress) -> str:
    """Where a store is, as one argument of a command."""
    if isinstance(database, LakeAddress):
        return f"{database}\n{database.data}"
    return str(database)


def from_text(text: str) -> Path | LakeAddress:
    """Undo `to_text`."""
    store, _, data = text.partition("\n")
    return LakeAddress.of(store, data) if store.startswith(lake.PREFIX) else Path(text)


class Store:
    """Append-only rows of one workspace.

    hold=True keeps the file for this process and serves it to others (the labeling server). A lake
    is held by nobody: every process has a connection of its own.
    """

    def __init__(self, database: Path | LakeAddress, *, hold: bool = False) -> None:
        self.database = database
        self._lock = threading.RLock()
        self._depth = 0
        self._connection: Connection | None = None
        self._held: HeldFile | None = None
        if isinstance(database, Path):
            self._held = HeldFile(database, _open_own) if hold else None
        elif hold:
            lake.connect(database)  # says now what is wrong with it

    @property
    def shared(self) -> bool:
        """Whether other labeling servers may write judgments too."""
        return isinstance(self.database, LakeAddress)

    @property
    def folder(self) -> Path | None:
        """Where large private files may lie for a moment: beside the database; None for a lake."""
        return None if isinstance(self.database, LakeAddress) else self.database.parent

    def append(self, rows: Sequence[Record]) -> None:
        """Store records of one kind, all or none, durable on return."""
        if not rows:
            return
        table, data = TABLES[type(rows[0])], encode(rows)
        try:
            with self.connected() as connection:
                connection.append(table, data)
        except (quack.ServerGoneError, GivenUpError):
            if self._depth:
                raise
            # Whether the lost call was stored or not, the same rows again do no harm.
            with self.connected() as connection:
                connection.append(table, data)

    def query(self, name: str, **params: object) -> list[dict[str, object]]:
        """Rows of a named query (storage/sql) as dicts of plain values."""
        rows: list[dict[str, object]] = self.table(name, **params).to_pylist()
        return rows

    def table(self, name: str, **params: object) -> pa.Table:
        """The same rows as an Arrow table, for work on many of them."""
        try:
            with self.connected() as connection:
                return connection.query(queries()[name], params)
        except GivenUpError:
            with self.connected() as connection:
                return connection.query(queries()[name], params)

    def read(self, kind: type[R], name: str, **params: object) -> list[R]:
        """The same rows as records."""
        return decode(kind, self.table(name, **params))

    def sizes(self) -> dict[str, int]:
        """How many rows each table of a shared store has; cheap enough to ask every second."""
        with self.connected() as connection:
            assert isinstance(connection, LakeConnection), "only a lake has writers elsewhere"
            return connection.sizes()

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Keep one connection for a unit of work of many calls. Never across a model call."""
        if self._held is not None:
            with self._held.using() as held, _interruptible():
                yield held
            return
        if isinstance(self.database, LakeAddress):  # for any number of threads at once
            with _interruptible():
                yield lake.connect(self.database)
            return
        with self._lock, _interruptible():
            if self._connection is None:
                self._connection = _connect(self.database)
            self._depth += 1
            try:
                yield self._connection
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._connection.close()
                    self._connection = None

    def close(self) -> None:
        """Stop serving and give the file back."""
        if self._held is not None:
            self._held.close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C during a statement reaches Python as DuckDB's own error; make it what it is."""
    try:
        yield
    except RuntimeError as error:
        if "Query interrupted" in str(error):
            raise KeyboardInterrupt from error
        raise


def _open_own(database: Path) -> EmbeddedConnection:
    """The file for this process alone; says so at once when a server already holds it."""
    found = _connect(database)
    if not isinstance(found, EmbeddedConnection):
        found.close()
        raise StoreError(
            f"{database} is already served by another `pairloop annotate`. "
            "Use that one, or stop it, then run this again."
        )
    return found


def _connect(database: Path | LakeAddress) -> Connection:
    """The file if it is free, else whoever serves it; waits out other commands' short holds."""
    if isinstance(database, LakeAddress):
        return lake.connect(database)
    end = monotonic() + WAIT_SECONDS
    while True:
        try:
            return EmbeddedConnection.open(database)
        except FileHeldError:
            served = quack.attach(database)
            if served is not None:
                return served
            if monotonic() > end:
                raise
            sleep(0.05)
