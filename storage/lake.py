"""The distributed store: DuckLake, its catalog in PostgreSQL, its rows in Parquet files.

    with Store(LakeAddress.of("ducklake:postgres:dbname=pairloop host=db", "/srv/pairloop")) as store:
        store.append([prompt])

Any number of labeling servers and commands, on any machines that reach both, use it at once. Small
appends go into the catalog itself; `compact` moves them into files. A password comes from PGPASSWORD
or ~/.pgpass, keys for s3:// from the AWS_ variables; neither is kept or shown here.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import urlsplit

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from storage.embedded import Transaction, migrate, transaction
from storage.embedded import insert as put
from storage.errors import ConfigurationError, StoreError
from storage.lake_errors import data_away, gone, is_conflict, is_gone, unusable
from storage.literals import literal
from storage.quack import load_extensions

PREFIX = "ducklake:postgres:"
_ENV = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION")
_INLINE_ROWS = 100  # appends of up to so many rows make no file of their own
_WAIT_SECONDS = 10.0  # how long a catalog that went away is waited for
_STARTERS_WAIT = "60s"  # how long another process may take to bring the schema up to date
_LOCK = 0x706169726C6F6F70  # PostgreSQL's advisory locks are numbers; this one spells "pairloop"
_MARK = "pairloop-lake.csv"  # tells the shared folder from an empty one where it isn't mounted
_SIZES = """from postgres_query('__ducklake_metadata_lake', '
    select t.table_name, coalesce(s.next_row_id, 0)
    from ducklake_table as t left join ducklake_table_stats as s on s.table_id = t.table_id
    where t.end_snapshot is null
')"""
_OLD = "interval 1 day"  # files and snapshots that no query under way can need any more
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeAddress:
    """Where a distributed store is: what libpq takes, and a folder or s3://bucket/prefix."""

    catalog: str
    data: str

    @classmethod
    def of(cls, store: str, data: str) -> Self:
        """From the two keys of pairloop.toml; raises ConfigurationError for what can't be one."""
        catalog = store.removeprefix(PREFIX).strip()
        secret = re.search(r"\bpassword\s*=", catalog, re.IGNORECASE)
        with suppress(ValueError):
            secret = secret or (urlsplit(catalog).password if "://" in catalog else None)  # type: ignore[assignment]
        if secret:
            raise ConfigurationError(
                "storage.store holds a password, which every log and process list would show. "
                "Take it out, and set PGPASSWORD or write it to ~/.pgpass (mode 0600)."
            )
        if not store.startswith(PREFIX) or not catalog:
            raise ConfigurationError(
                f"storage.store is {store!r}; a distributed store is "
                f'"{PREFIX}dbname=pairloop host=db.example.org user=pairloop".'
            )
        if not data:
            raise ConfigurationError(
                "storage.data is missing: a folder that every machine has mounted at the same "
                "path, or s3://bucket/prefix."
            )
        return cls(catalog=catalog, data=data.rstrip("/") + "/")

    def __str__(self) -> str:
        return PREFIX + self.catalog

    @property
    def remote(self) -> bool:
        """Whether the data is in an object store."""
        return "://" in self.data


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """What `compact` did: rows moved out of the catalog, files merged into fewer, files removed."""

    rows: int
    merged: int
    removed: int


class LakeConnection:
    """The lake as this process has it open. Usable from many threads."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, address: LakeAddress) -> None:
        self._connection = connection
        self._address = address
        self._writing = threading.Lock()  # two commits of one process would only conflict
        self._idle: list[duckdb.DuckDBPyConnection] = []

    @classmethod
    def open(cls, address: LakeAddress) -> Self:
        """Attach, make what is missing, bring the schema up to date: one process at a time."""
        connection = duckdb.connect(":memory:")
        try:
            load_extensions(connection, "httpfs", "postgres_scanner", "ducklake", extra="lake")
            connection.execute(f"set ducklake_default_data_inlining_row_limit = {_INLINE_ROWS}")
            # Writers of several machines meet at the commit: short waits, and many of them.
            connection.execute("set ducklake_retry_wait_ms = 10")
            connection.execute("set ducklake_retry_backoff = 1.2")
            connection.execute("set ducklake_max_retry_count = 40")
            if address.remote:
                _sign_in_to_s3(connection)
            _attach(connection, address)
        except BaseException as error:
            connection.close()
            if isinstance(error, duckdb.Error | OSError):
                raise unusable(address, error) from error
            raise
        return cls(connection, address)

    def append(self, table: str, rows: pa.Table) -> None:
        """Insert the rows in one commit, sent again where the answer to it was lost.

        That they may then be there twice does no harm: the views keep one per content id.
        """

        def insert() -> None:
            with self._cursor() as cursor:
                # DuckLake 1.0 sends lists as SQL text, which ends at a NUL.
                _set_inlining(cursor, rows=0 if _has_nul_in_a_list(rows) else _INLINE_ROWS)
                put(cursor, table, rows)

        try:
            with self._writing:
                self._patiently(insert)
        except duckdb.Error as error:
            raise StoreError(
                f"{rows.num_rows} rows could not be written to {table}: {error}"
            ) from error

    def query(self, sql: str, params: Mapping[str, object]) -> pa.Table:
        """Run SQL with $name parameters."""

        def ask() -> pa.Table:
            with self._cursor() as cursor:
                return cursor.execute(sql, dict(params)).to_arrow_table()

        return self._patiently(ask)

    def sizes(self) -> dict[str, int]:
        """How many rows each table has, from the catalog alone."""

        def ask() -> list[tuple[object, ...]]:
            with self._cursor() as cursor:
                return cursor.execute(_SIZES).fetchall()

        return {str(table): int(str(rows)) for table, rows in self._patiently(ask)}

    def compact(self) -> Compacted:
        """Move small appends into files, merge small files, forget what nobody can need any more."""

        def work() -> Compacted:
            with self._cursor() as cursor:
                flushed = cursor.execute("call ducklake_flush_inlined_data('lake')").fetchall()
                merged = cursor.execute("call ducklake_merge_adjacent_files('lake')").fetchall()
                cursor.execute(
                    f"call ducklake_expire_snapshots('lake', older_than => now() - {_OLD})"
                )
                removed = cursor.execute(
                    f"call ducklake_cleanup_old_files('lake', older_than => now() - {_OLD})"
                ).fetchall()
            return Compacted(
                rows=sum(int(row[2]) for row in flushed),
                merged=sum(int(row[2]) for row in merged),
                removed=len(removed),
            )

        with self._writing:
            return self._patiently(work)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """All or nothing, straight into files. It is not tried again if the catalog goes away."""
        with self._writing, self._cursor() as cursor:
            _set_inlining(cursor, rows=0)
            with transaction(cursor) as opened:
                yield opened

    def close(self) -> None:
        """End this use. The process keeps its one connection: opening costs half a second."""

    def end(self) -> None:
        """Close it for good."""
        self._connection.close()

    def _patiently(self, work: Callable[[], T]) -> T:
        """Do it again after a conflict with another writer, or once the catalog is back."""
        end = time.monotonic() + _WAIT_SECONDS
        pause = 0.05
        while True:
            try:
                return work()
            except duckdb.Error as error:
                away = is_gone(error)
                if not away and not is_conflict(error):
                    if isinstance(error, duckdb.IOException):
                        raise data_away(self._address, error) from error
                    raise
                if time.monotonic() > end:
                    if away:
                        raise gone(self._address, error) from error
                    raise
            time.sleep(pause)
            pause = min(1.0, pause * 2)

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A session with the lake's tables in reach; one that failed is thrown away."""
        try:
            cursor = self._idle.pop()
        except IndexError:
            cursor = self._connection.cursor()
            cursor.execute("use lake")
        try:
            yield cursor
        except BaseException:
            with suppress(duckdb.Error):
                cursor.close()
            raise
        self._idle.append(cursor)


@cache
def _opening(_address: LakeAddress) -> threading.Lock:
    return threading.Lock()


_open: dict[LakeAddress, LakeConnection] = {}


def connect(address: LakeAddress) -> LakeConnection:
    """The connection of this process to a lake."""
    with _opening(address):
        if address not in _open:
            _open[address] = LakeConnection.open(address)
        return _open[address]


def disconnect(address: LakeAddress) -> None:
    """Close this process's connection to a lake, if it has one."""
    with _opening(address):
        if (known := _open.pop(address, None)) is not None:
            known.end()


def _attach(connection: duckdb.DuckDBPyConnection, address: LakeAddress) -> None:
    """Open it under a lock in PostgreSQL, which goes with whoever holds it.

    Starters that race would otherwise undo each other's schema changes for half a minute.
    """
    libpq = literal(_patient(address.catalog))
    connection.execute(f"attach {libpq} as gate (type postgres)")
    with connection.cursor() as gate:
        gate.begin()
        gate.execute(
            f"call postgres_execute('gate', 'set local lock_timeout = ''{_STARTERS_WAIT}''')"
        )
        gate.execute(f"call postgres_execute('gate', 'select pg_advisory_xact_lock({_LOCK})')")
        if not address.remote:
            Path(address.data).mkdir(parents=True, exist_ok=True)
        lake = literal(PREFIX + _patient(address.catalog))
        connection.execute(f"attach {lake} as lake (data_path {literal(address.data)})")
        with connection.cursor() as cursor:
            cursor.execute("use lake")
            mark = literal(address.data + _MARK)
            made = "from duckdb_tables() where database_name = 'lake'"
            if not cursor.execute(made).fetchall():
                cursor.execute(f"copy (select {literal(str(address))} as lake) to {mark}")
            elif not cursor.execute(f"from glob({mark})").fetchall():
                raise StoreError(
                    f"{address.data} has no {_MARK}, so it is not the folder that the other "
                    f"machines of {address} store their rows in. Is the shared folder mounted? "
                    "Mount it at this path, then run this again."
                )
            migrate(cursor, str(address))
        gate.commit()
    connection.execute("detach gate")


def _patient(catalog: str) -> str:
    """The same address, giving up on a machine that does not answer within seconds."""
    if "://" in catalog or "connect_timeout" in catalog:
        return catalog
    return f"{catalog} connect_timeout=5 keepalives_idle=10 keepalives_interval=5"


def _sign_in_to_s3(connection: duckdb.DuckDBPyConnection) -> None:
    values = {name: os.environ.get(name, "") for name in _ENV}
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    words = ["type s3"]
    keys = ("key_id", "secret", "session_token", "region")
    words += [
        f"{key} {literal(values[name])}"
        for key, name in zip(keys, _ENV, strict=True)
        if values[name]
    ]
    if endpoint:  # a store of one's own: MinIO, Ceph, a test server
        parts = urlsplit(endpoint)
        words += [f"endpoint {literal(parts.netloc)}", "url_style 'path'"]
        words.append(f"use_ssl {'true' if parts.scheme == 'https' else 'false'}")
    connection.execute(f"create secret lake_data ({', '.join(words)})")


def _set_inlining(cursor: duckdb.DuckDBPyConnection, *, rows: int) -> None:
    cursor.execute(f"set ducklake_default_data_inlining_row_limit = {rows}")


def _has_nul_in_a_list(rows: pa.Table) -> bool:
    for column in rows.columns:
        if pa.types.is_list(column.type) and pa.types.is_string(column.type.value_type):
            texts = pc.list_flatten(column)
            if pc.any(pc.match_substring(texts, "\0")).as_py():
                return True
    return False
