"""The database file itself: opening, migrating, inserting and reading in this process.

DuckDB lets one process hold the file. Every thread takes its own cursor.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import duckdb
import pyarrow as pa

from storage.damage import (
    cannot_open,
    check_log,
    damage_in,
    disk_full,
    is_full,
    only_empty_from,
    set_aside,
)
from storage.errors import StoreError, WorkspaceError
from storage.words import many

MIGRATIONS = Path(__file__).parent / "migrations"
# A commit that DuckDB says was stored, before it failed to write its log back to the file.
_DURABLE = "COMMIT succeeded and is durable"
_HOLDER = re.compile(r"Conflicting lock is held in (?P<program>.*?) \(PID (?P<pid>\d+)\)")


class FileHeldError(StoreError):
    """Raised when another process has the database file open."""


class GivenUpError(StoreError):
    """Raised when DuckDB gave the open database up: it has to be opened again."""


def migrations() -> list[tuple[int, str]]:
    """(version, SQL) of every migration, in order."""
    files = sorted(MIGRATIONS.glob("[0-9]*.sql"))
    return [(int(f.name.split("_")[0]), f.read_text(encoding="utf-8")) for f in files]


def newest_version() -> int:
    """The schema this program makes."""
    return migrations()[-1][0]


class Transaction:
    """Appends and queries that become visible to others together, or never."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor

    def append(self, table: str, rows: pa.Table) -> None:
        insert(self._cursor, table, rows)

    def query(self, sql: str, params: Mapping[str, object]) -> pa.Table:
        return self._cursor.execute(sql, dict(params)).to_arrow_table()


@contextmanager
def transaction(cursor: duckdb.DuckDBPyConnection) -> Iterator[Transaction]:
    """Commit what is done inside, if nothing is raised."""
    cursor.begin()
    try:
        yield Transaction(cursor)
        cursor.commit()
    except BaseException as error:
        with suppress(duckdb.TransactionException):  # a failed commit has ended it already
            cursor.rollback()
        if isinstance(error, duckdb.Error):
            raise StoreError(f"Nothing was written: {error}") from error
        raise


def insert(cursor: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
    """Insert rows in one statement."""
    cursor.register("incoming_rows", rows)
    cursor.execute(f'insert into "{table}" by name from incoming_rows')
    cursor.unregister("incoming_rows")


class EmbeddedConnection:
    """The open file. Two verbs, `append` and `query`; usable from many threads."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, database: Path) -> None:
        self.connection = connection
        self.given_up = False  # by DuckDB: nothing more can be done with it
        self._database = database

    @classmethod
    def open(cls, database: Path) -> Self:
        """Open and bring the schema up to date; raises FileHeldError when another process has it."""
        check_log(database)
        try:
            connection = _connect(database)
        except duckdb.Error as error:
            if held := _HOLDER.search(str(error)):
                raise FileHeldError(_held_message(database, held)) from error
            raise cannot_open(database, error) from error
        try:
            migrate(connection, str(database))
        except BaseException:
            connection.close()
            raise
        return cls(connection, database)

    @classmethod
    def open_to_read(cls, file: Path) -> Self:
        """Open a file that stays as it is, whatever version made it."""
        try:
            found = cls(duckdb.connect(str(file), read_only=True), file)
            version = found.version()
        except duckdb.Error as error:
            raise StoreError(
                f"{file} can't be read as a pairloop database: {error}. Name another file."
            ) from error
        if version > newest_version():
            found.close()
            raise _too_new(str(file), version)
        return found

    def version(self) -> int:
        """The schema the file has."""
        rows = self.query("select coalesce(max(version), 0) as n from schema_versions", {})
        return int(rows["n"][0].as_py())

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """All or nothing."""
        cursor = self.connection.cursor()
        try:
            with transaction(cursor) as opened:
                yield opened
        finally:
            cursor.close()

    def append(self, table: str, rows: pa.Table) -> None:
        cursor = self.connection.cursor()
        try:
            insert(cursor, table, rows)
        except duckdb.FatalException as error:
            self.given_up = True
            if _DURABLE not in str(error):
                raise self._lost(error) from error
        except duckdb.Error as error:
            if is_full(error):
                raise disk_full(self._database) from error
            raise StoreError(
                f"{many(rows.num_rows, 'row')} could not be written to {table}: {error}"
            ) from error
        finally:
            cursor.close()

    def query(self, sql: str, params: Mapping[str, object]) -> pa.Table:
        cursor = self.connection.cursor()
        try:
            return cursor.execute(sql, dict(params)).to_arrow_table()
        except duckdb.FatalException as error:
            self.given_up = True
            raise self._lost(error) from error
        finally:
            cursor.close()

    def _lost(self, error: duckdb.Error) -> GivenUpError:
        return GivenUpError(f"DuckDB has closed {self._database} after an error: {error}")

    def close(self) -> None:
        self.connection.close()


def _connect(database: Path) -> duckdb.DuckDBPyConnection:
    """Open the file; a log that ends in space never written is cut there, and kept as it was."""
    try:
        return duckdb.connect(str(database))
    except duckdb.IOException as error:
        at = damage_in(error)
        if at is None or not only_empty_from(database, at):
            raise
        set_aside(database, at)
    return duckdb.connect(str(database))


def _held_message(database: Path, held: re.Match[str]) -> str:
    pid = int(held["pid"])
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        program = " ".join(Path(w).name if i < 2 else w for i, w in enumerate(words) if w)
    except OSError:
        program = held["program"]
    return (
        f"{database.name} is in use by process {pid} ({program}), which does not share it. "
        "DuckDB lets one process open a file for writing. Wait for it, or stop it, then run "
        "this again."
    )


def _too_new(database: str, version: int) -> WorkspaceError:
    return WorkspaceError(
        f"{database} was made by a newer pairloop (schema {version}, this program knows up to "
        f"{newest_version()}). Nothing was changed. Update pairloop, then run this again."
    )


def migrate(connection: duckdb.DuckDBPyConnection, database: str) -> None:
    """Apply the migrations the database lacks, each in a transaction together with its record."""
    connection.execute(
        "create table if not exists schema_versions (version bigint, applied_at timestamp)"
    )
    row = connection.execute("select coalesce(max(version), 0) from schema_versions").fetchone()
    have = int(row[0]) if row else 0
    if have > newest_version():
        raise _too_new(database, have)
    for version, sql in migrations():
        if version <= have:
            continue
        connection.begin()
        try:
            connection.execute(sql)
            connection.execute(
                "insert into schema_versions values ($version, $now)",
                {"version": version, "now": datetime.now(UTC).replace(tzinfo=None)},
            )
            connection.commit()
        except BaseException:
            with suppress(duckdb.TransactionException):  # a failed commit has ended it already
                connection.rollback()
            raise
