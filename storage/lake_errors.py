"""What goes wrong with a distributed store, told apart by what DuckDB says, and told to people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from storage.errors import StoreError

if TYPE_CHECKING:
    from storage.lake import LakeAddress

_GONE = re.compile(
    r"connection to server|server closed the connection|terminating connection|could not connect"
    r"|connection (refused|reset|timed out)|no connection to the server|SSL SYSCALL"
    r"|database system is (starting up|shutting down|in recovery)|Unable to connect to Postgres"
    r"|lost synchronization|connection not open|could not (send|receive) data"
    # What it says of a transaction whose connection went away in the middle.
    r'|Failed to execute query "(ROLLBACK|COMMIT)|Current transaction is aborted',
    re.IGNORECASE,
)
_FULL = re.compile(r"too many (clients|connections)|remaining connection slots", re.IGNORECASE)
_HTTP = re.compile(r"for HTTP|HTTP code|HTTP Error")
_CONFLICT = re.compile(
    r"Transaction conflict|serialize access|duplicate key|deadlock", re.IGNORECASE
)


class CatalogGoneError(StoreError):
    """Raised when PostgreSQL can't be reached for longer than we wait."""


def gone(address: LakeAddress, error: Exception) -> CatalogGoneError:
    if _FULL.search(str(error)):
        return CatalogGoneError(
            f"The catalog of the distributed store, {address}, has no connection left for this "
            f"process: {_why(error)}. Raise max_connections in postgresql.conf, or the limit of this "
            "user or database, then run this again; what was acknowledged is stored."
        )
    return CatalogGoneError(
        f"The catalog of the distributed store, {address}, does not answer: {_why(error)}. "
        "Check that PostgreSQL runs there and lets this machine and user in, then run this again; "
        "what was acknowledged is stored."
    )


def is_conflict(error: Exception) -> bool:
    """Whether another writer was quicker, so that the same again will do."""
    return bool(_CONFLICT.search(str(error)))


def is_gone(error: Exception) -> bool:
    """Whether PostgreSQL is away; S3 says similar things when it is."""
    return bool(_GONE.search(str(error))) and not _HTTP.search(str(error))


def data_away(address: LakeAddress, error: Exception) -> StoreError:
    check = "Check that the shared folder is mounted and has room"
    if address.remote:
        check = "Check that the bucket exists, and the keys and the address in AWS_* variables"
    return StoreError(
        f"The rows of {address} can't be read or written in {address.data}: "
        f"{' '.join(str(error).split()).rstrip('.')}. {check}, then run this again; what was "
        "acknowledged is stored."
    )


def unusable(address: LakeAddress, error: Exception) -> StoreError:
    said = str(error)
    if is_gone(error):
        return gone(address, error)
    if _HTTP.search(said):
        return data_away(address, error)
    if "DATA_PATH" in said:
        return StoreError(
            f"{address} keeps its rows elsewhere than in {address.data}: {_why(error)}. Give "
            "storage.data as it was when the store was made; every machine mounts it at that path."
        )
    return StoreError(
        f"The distributed store {address} with its rows in {address.data} can't be opened: {said}. "
        "Check that the database exists, that this user may make tables in it, and that the "
        "folder can be written to, then run this again."
    )


def _why(error: Exception) -> str:
    """The line of PostgreSQL's answer in what DuckDB says around it."""
    said = re.search(r"(connection to server|FATAL:|server closed)[^\n]*", str(error))
    return (said[0] if said else str(error).partition("\n")[0]).strip().rstrip(".")
