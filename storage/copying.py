"""Every row of one store into another: backup, restore, moving between a file and a lake.

A backup is a database file like any workspace's own. What is copied is all that was stored when the
copying began: one statement looks how far every table goes, and rows are only appended. The target gets
all rows in one transaction, or none.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from storage.codec import TABLES
from storage.embedded import EmbeddedConnection, newest_version
from storage.errors import ConflictError, InputError, StoreError
from storage.lake import LakeConnection
from storage.store import Store
from storage.words import many

_BATCH_ROWS = 50_000
_BATCH_BYTES = 256 * 1024**2  # of rows that hold long texts and many tokens, fewer are read at once


class Readable(Protocol):
    """Any connection, and what an open transaction sees."""

    def query(self, sql: str, params: Mapping[str, object]) -> pa.Table: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """What a table holds below a row number: how many rows, and a hash of them in any order."""

    below: int
    rows: int
    content: str


Extents = Mapping[str, Extent]


def extents(source: Readable) -> dict[str, Extent]:
    """What every table holds now, as one statement sees them all."""
    parts = [
        f"select '{table}' as name, coalesce(max(rowid) + 1, 0)::bigint as below, "  # noqa: S608
        f'count(*) as n, coalesce(sum(hash(t)::hugeint), 0)::varchar as content from "{table}" as t'
        for table in TABLES.values()
    ]
    return {
        row["name"]: Extent(below=row["below"], rows=row["n"], content=row["content"])
        for row in source.query(" union all ".join(parts), {}).to_pylist()
    }


def same(one: Extents, other: Extents) -> bool:
    """Whether two stores hold the same rows, table by table."""
    tables = TABLES.values()
    return all((one[t].rows, one[t].content) == (other[t].rows, other[t].content) for t in tables)


def total(found: Extents) -> int:
    """How many rows there are in all tables."""
    return sum(extent.rows for extent in found.values())


def backup(store: Store, out: Path) -> int:
    """Write the store's rows to a new file, which appears whole or not at all; returns how many.

    Works while the labeling server holds the store. Raises ConflictError where the file exists.
    """
    with store.connected() as source, new_file(out) as target:
        return copy(source, target)


@contextmanager
def new_file(out: Path) -> Iterator[EmbeddedConnection]:
    """A database file that has its name only once it is filled."""
    _refuse_existing(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft = tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent)
    except OSError as error:
        raise InputError(f"{out} can't be written: {error}. Choose another place.") from error
    with draft as folder:
        path = Path(folder) / out.name
        with closing(EmbeddedConnection.open(path)) as connection:
            yield connection
        _refuse_existing(out)
        path.rename(out)


def fill(store: Store, source: Readable) -> int:
    """Copy all rows into an empty store, all or none; returns how many, 0 if they are there already.

    Raises ConflictError where it holds other rows, or a labeling server has it.
    """
    with store.connected() as target:
        if not isinstance(target, EmbeddedConnection | LakeConnection):
            raise ConflictError(
                f"{store.database} is open in a labeling server. Stop it, then run this again."
            )
        there = extents(target)
        if not total(there):
            return copy(source, target)
        if same(extents(source), there):
            return 0
        raise ConflictError(
            f"{store.database} holds {many(total(there), 'row')} already, and nothing is overwritten. "
            "Use a new workspace or an empty database."
        )


@contextmanager
def opened_backup(file: Path) -> Iterator[EmbeddedConnection]:
    """A backup to read, as this version stores rows; one of an older version stays as it is."""
    if not file.is_file():
        raise InputError(f"There is no file {file}. Name one that `pairloop store backup` made.")
    with closing(EmbeddedConnection.open_to_read(file)) as found:
        if found.version() == newest_version():
            yield found
            return
    with tempfile.TemporaryDirectory(prefix="pairloop-restore-") as folder:
        newer = Path(shutil.copy(file, folder))
        with closing(EmbeddedConnection.open(newer)) as found:
            yield found


def copy(source: Readable, target: EmbeddedConnection | LakeConnection) -> int:
    """Copy all rows in one transaction, and look whether they are the same; returns how many."""
    found = extents(source)
    with target.transaction() as written:
        for table, rows in _batches(source, found):
            written.append(table, rows)
        if not same(extents(written), found):
            raise StoreError(
                "What was written is not what was read, so nothing was kept. "
                "Check the disks, then run this again."
            )
    return total(found)


def _batches(source: Readable, found: Extents) -> Iterator[tuple[str, pa.Table]]:
    """The rows that `extents` found, parents before children."""
    for table in TABLES.values():
        start, size = 0, _BATCH_ROWS
        while start < found[table].below:
            end = min(start + size, found[table].below)
            sql = f'select * from "{table}" where rowid >= $start and rowid < $end order by rowid'  # noqa: S608
            rows = source.query(sql, {"start": start, "end": end})
            if rows.nbytes > _BATCH_BYTES:
                size = max(1000, size // 2)
            start = end
            if rows.num_rows:
                yield table, rows


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise ConflictError(f"{out} exists already; nothing is overwritten. Choose another name.")
