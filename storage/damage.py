"""What can be wrong with the database's files, in words, and how to go on.

Beside pairloop.duckdb lies pairloop.duckdb.wal, the log of what was stored since DuckDB last wrote it
back. It begins with a few bytes that name its version; then each entry has 8 bytes of length, 8 of
checksum and what was done. A log that ends amid an entry is what a kill or a power cut leaves: DuckDB
drops that entry, which nobody was told was stored.
"""

import logging
import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

from storage.errors import DamagedError, DiskFullError, StoreError

log = logging.getLogger(__name__)

_HEADER = bytes((0x64, 0, 98, 0x65, 0))  # field 100: an entry that tells the version, in field 101
_HEADER_BYTES = 8
_VERSION = b"\x02\xff\xff"  # what DuckDB 1.5 writes
_NEWER = b"\x03"  # it reads these too; how they are built is not known here
_COMMIT = re.compile(
    rb"\x05\0{7}.{8}\x64\0\x64\xff\xff", re.DOTALL
)  # the entry that ends each commit
_AT = re.compile(r"Corrupt WAL file: entry at byte position (\d+)")
_ENTRY_HEAD = 16  # DuckDB names the byte after an entry's length and checksum
_CHUNK = 1 << 20
_FULL = ("No space left on device", "File too large", "Disk quota exceeded")


def log_file(database: Path) -> Path:
    """DuckDB's log of what is not yet written back to the file."""
    return database.with_name(database.name + ".wal")


def check_log(database: Path) -> None:
    """Raise DamagedError where DuckDB would drop what was stored without a word.

    It takes a log with another beginning for none and writes over it, and one with a wrong length
    in it for one that ends there. Another process may be writing the log meanwhile.
    """
    try:
        with log_file(database).open("rb") as file:
            head = file.read(_HEADER_BYTES)
            if len(head) < _HEADER_BYTES:
                return  # killed while it was begun: nothing was acknowledged yet
            if head.startswith(_HEADER + _NEWER):
                return
            if head != _HEADER + _VERSION:
                raise _damaged(database, 0, "it does not begin as a log does")
            size, at = file.seek(0, os.SEEK_END), _HEADER_BYTES
            while at + _ENTRY_HEAD <= size:
                file.seek(at)
                end = at + _ENTRY_HEAD + int.from_bytes(file.read(8), "little")
                if end > size:
                    break
                at = end
            file.seek(at)
            rest = file.read(size - at)  # not what was written since its size was asked for
            if _COMMIT.search(rest):  # in an entry cut short there would be none
                raise _damaged(database, at, "whole entries follow one that seems cut short")
    except FileNotFoundError:
        return


def damage_in(error: Exception) -> int | None:
    """Where the damaged entry begins that DuckDB complains of; None where it names none."""
    found = _AT.search(str(error))
    return int(found[1]) - _ENTRY_HEAD if found else None


def cannot_open(database: Path, error: Exception) -> StoreError:
    """What to say where DuckDB can't open the file."""
    at = damage_in(error)
    if at is not None:
        return _damaged(database, at, "DuckDB finds a wrong checksum there")
    if is_full(error):
        return disk_full(database)
    return StoreError(
        f"{database} can't be opened as a DuckDB file: {error}. Nothing was changed. It may be "
        "damaged or no database, or the disk or its permissions are at fault: restore a backup in "
        "its place, or move it away together with its .wal file."
    )


def is_full(error: Exception) -> bool:
    return any(words in str(error) for words in _FULL)


def disk_full(database: Path) -> DiskFullError:
    return DiskFullError(
        f"The disk of {database} is full, so nothing more was stored; what was stored before is "
        "safe. Free some space there (or raise the limit on the size of files): it goes on by itself."
    )


def only_empty_from(database: Path, at: int) -> bool:
    """Whether the log holds nothing but zeros from there on: space taken and never written."""
    with log_file(database).open("rb") as file:
        file.seek(at)
        return not any(any(chunk) for chunk in iter(lambda: file.read(_CHUNK), b""))


def set_aside(database: Path, at: int) -> tuple[Path, int]:
    """Copy the log beside itself, then cut it before the damage; the copy, and how much was cut.

    A damaged beginning is written anew instead: it is the same in every log.
    """
    file = log_file(database)
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    copy = file.with_name(f"{file.name}.damaged-{stamp}")
    shutil.copy2(file, copy)
    with file.open("r+b") as present:
        size = present.seek(0, os.SEEK_END)
        if at:
            present.truncate(at)
        else:
            present.seek(0)
            present.write(_HEADER + _VERSION)
    cut = size - at if at else 0
    log.warning("%d bytes of %s were unusable; all of it is kept as %s", cut, file.name, copy)
    return copy, cut


def _damaged(database: Path, at: int, why: str) -> DamagedError:
    file = log_file(database)
    return DamagedError(
        f"{file}, the log of what was stored last, is damaged at byte {at} of "
        f"{file.stat().st_size}: {why}. Nothing was changed. Restore a backup, or run `pairloop "
        "repair`: it keeps a copy of the damaged log and goes on with all that was stored before "
        "that byte.",
        at=at,
    )
