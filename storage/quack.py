"""Share the open database file with the other pairloop commands of this machine.

DuckDB lets one process hold the file. The labeling server holds it and serves it over DuckDB's
Quack protocol on 127.0.0.1; whoever finds the file held attaches. Where to and with which token
stands beside the database, readable by its owner alone, as in pairloop.duckdb.serving:

    {"host": "127.0.0.1", "port": 41873, "token": "f0X...", "pid": 2353}

Whoever has the token may run any SQL on the database, as whoever may read the file could.
"""

import glob
import importlib.util
import json
import os
import secrets
import socket
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Self

import duckdb
import pyarrow as pa

from storage.damage import disk_full, is_full
from storage.errors import StoreError
from storage.literals import bind, literal
from storage.processes import process_alive
from storage.words import many

HOST = "127.0.0.1"
ANSWER_SECONDS = 30
_EXTENSIONS = ("httpfs", "quack")  # quack sends its requests through httpfs


@dataclass(frozen=True, slots=True, kw_only=True)
class _Address:
    """What the connection file holds."""

    host: str
    port: int
    token: str = field(repr=False)
    pid: int

    @property
    def uri(self) -> str:
        return f"quack:{self.host}:{self.port}"


class ServerGoneError(StoreError):
    """Raised when the server that held the file went away during a call."""


class QuackServer:
    """A database being served. Close it before closing the connection it serves."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, database: Path, address: _Address
    ) -> None:
        self._connection = connection
        self._file = connection_file(database)
        self._address = address

    def close(self) -> None:
        """Stop serving and remove the connection file. Closing twice does nothing."""
        with suppress(StoreError):
            if _read(self._file) == self._address:
                self._file.unlink(missing_ok=True)
        with suppress(duckdb.Error):  # already closed, here or by the owner of the database
            self._connection.execute("call quack_stop(?)", [self._address.uri])
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve(connection: duckdb.DuckDBPyConnection, database: Path, *, port: int = 0) -> QuackServer:
    """Serve the database that `connection` has open to this machine's processes, port 0 = any."""
    address = _Address(
        host=HOST, port=_free_port(port), token=secrets.token_urlsafe(32), pid=os.getpid()
    )
    cursor = connection.cursor()
    server = QuackServer(cursor, database, address)
    try:
        load_extensions(cursor, *_EXTENSIONS)
        cursor.execute("call quack_serve(?, token := ?)", [address.uri, address.token])
        _write(connection_file(database), address)
    except BaseException as error:
        server.close()
        if isinstance(error, duckdb.Error | OSError):
            raise StoreError(
                f"{database} can't be shared on {HOST}:{address.port}: {error}. "
                "Check that its folder can be written to, then run this again."
            ) from error
        raise
    return server


def connection_file(database: Path) -> Path:
    """Where the server of a database says how to reach it."""
    return database.with_name(database.name + ".serving")


class QuackConnection:
    """A database that another process holds. Usable from many threads."""

    def __init__(self, database: Path, address: _Address) -> None:
        self._database = database
        self._address = address

    def append(self, table: str, rows: pa.Table) -> None:
        """Insert the rows in one statement: all of them or none.

        They travel in a file beside the database. Quack's own INSERT commits batch by batch: of
        100,000 rows with a bad last one it stored 98,304.
        """
        columns = ", ".join(
            f"null as {_quoted(c.name)}" if pa.types.is_null(c.type) else _quoted(c.name)
            for c in rows.schema  # Parquet has no type for a column of nothing but nulls
        )
        folder = self._database.resolve().parent
        try:
            # Only the owner may enter a TemporaryDirectory: the rows are as private as the file.
            with tempfile.TemporaryDirectory(prefix=".pairloop-append-", dir=folder) as spool:
                path = Path(spool) / "rows.parquet"
                with _client().cursor() as cursor:
                    cursor.register("incoming_rows", rows)
                    cursor.execute(f"copy incoming_rows to {literal(str(path))} (format parquet)")
                self._run(
                    f"insert into {_quoted(table)} by name select {columns} from "  # noqa: S608
                    f"read_parquet({literal(glob.escape(str(path)))}, hive_partitioning = false)"
                )
        except (duckdb.Error, OSError) as error:
            if is_full(error):
                raise disk_full(self._database) from error
            raise StoreError(
                f"{many(rows.num_rows, 'row')} could not be written to {table}: {error}"
            ) from error

    def query(self, sql: str, params: Mapping[str, object]) -> pa.Table:
        """Run SQL with $name parameters where the data is."""
        return self._run(bind(sql, params))

    def close(self) -> None:
        """End the use of this connection. Nothing stays open between calls."""

    def _run(self, sql: str) -> pa.Table:
        try:
            return _run(self._address, sql)
        except duckdb.Error as error:
            if not (_unreachable(error) or _refused(error)):
                raise
            raise ServerGoneError(
                f"The labeling server that held {self._database} (process {self._address.pid}) "
                "has stopped or does not answer. Run the command again."
            ) from error


def attach(database: Path) -> QuackConnection | None:
    """Connect to whoever serves the database; None when nobody does.

    A server killed outright leaves its connection file behind. That a process with its number
    lives proves nothing, so the connection itself is tried.
    """
    file = connection_file(database)
    address = _read(file)
    if address is None:
        return None
    if not _answers(address):
        if not process_alive(address.pid):  # its port is somebody else's by now
            return None
        raise StoreError(
            f"The labeling server that holds {database} (process {address.pid}) has not answered "
            f"for {ANSWER_SECONDS} seconds. Wait if the machine is very busy; if the server hangs, "
            f"end it (`kill {address.pid}`). Then run this again."
        )
    try:
        _run(address, "select 1")
    except duckdb.Error as error:
        if _unreachable(error) or not process_alive(address.pid):
            return None
        what = "refuses the token" if _refused(error) else f"does not answer as expected: {error}"
        raise StoreError(
            f"The server of {database} on {address.host}:{address.port} {what}. "
            f"{file.name} may be left over from a server that was killed. If no `pairloop "
            f"annotate` runs here, remove {file}; otherwise restart it. Then run this again."
        ) from error
    return QuackConnection(database, address)


def _answers(address: _Address) -> bool:
    """Whether its server answers at all: Quack itself would wait for a hung one for ever."""
    connection = HTTPConnection(address.host, address.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/")
        connection.getresponse()
    except TimeoutError:
        return False
    except (OSError, HTTPException):
        return True  # nobody is there, or somebody else: Quack's own call says which
    finally:
        connection.close()
    return True


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _run(address: _Address, sql: str) -> pa.Table:
    # One session per call: an ATTACH shares one among threads and fails on some column defaults.
    with _client().cursor() as cursor:
        return cursor.execute(
            "from quack_query($uri, $sql, token := $token)",
            {"uri": address.uri, "sql": sql, "token": address.token},
        ).to_arrow_table()


@cache
def _client() -> duckdb.DuckDBPyConnection:
    """An empty database in memory that speaks Quack. Loading takes 0.3 s, hence only one."""
    connection = duckdb.connect(":memory:")
    load_extensions(connection, *_EXTENSIONS)
    # Globally: cursors, which do the work, don't have the settings of their connection.
    # Both keep an HTTP_PROXY of the environment from seeing the token; curl would obey it.
    connection.execute("set global httpfs_client_implementation = 'httplib'")
    connection.execute("set global http_proxy = ''")
    connection.execute("set global http_retries = 0")  # an append must not be sent twice
    return connection


def load_extensions(connection: duckdb.DuckDBPyConnection, *names: str, extra: str = "") -> None:
    """Load from the installed packages' files: no network, no copy in the home folder.

    extra: the optional part of pairloop that installs them.
    """
    version = duckdb.__version__
    try:
        for name in names:
            spec = importlib.util.find_spec(f"duckdb_extension_{name}")
            if spec is None or spec.origin is None:
                raise ModuleNotFoundError(f"there is no duckdb_extension_{name}")
            file = Path(spec.origin).parent / f"extensions/v{version}/{name}.duckdb_extension"
            connection.execute(f"load {literal(str(file))}")
    except (ImportError, duckdb.Error) as error:
        raise StoreError(
            f"DuckDB {version} can't load what sharing the database needs: {error}. "
            f"Run `pip install {_packages(names, extra)}`, then run this again."
        ) from error


def _packages(names: Sequence[str], extra: str) -> str:
    if extra:
        return f"'pairloop[{extra}]'"
    version = duckdb.__version__
    return " ".join(f"duckdb-extension-{name.replace('_', '-')}=={version}" for name in names)


def _free_port(port: int) -> int:
    # Quack takes no port 0, and binds a port that another Quack server of the same user listens
    # on without an error: the two would then share its connections at random.
    with socket.socket() as probe:
        if os.name == "posix":  # elsewhere this option would take a listener's port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise StoreError(
                f"Port {port} of {HOST} can't be used: {error}. Choose another, or none."
            ) from error
        found: int = probe.getsockname()[1]
        return found


def _write(file: Path, address: _Address) -> None:
    # mkstemp creates the file with mode 0600, so the token is never readable by others.
    handle, draft = tempfile.mkstemp(prefix=file.name, dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(asdict(address), out)
        Path(draft).replace(file)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _read(file: Path) -> _Address | None:
    try:
        return _Address(**json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, TypeError, ValueError) as error:
        raise StoreError(
            f"{file} can't be read: {error}. It says how to reach the labeling server. "
            "Check who owns it; if no `pairloop annotate` runs here, remove it."
        ) from error


def _unreachable(error: duckdb.Error) -> bool:
    return str(error).startswith("IO Error: Failed to send message")


def _refused(error: duckdb.Error) -> bool:
    return str(error).startswith("Invalid Input Error: Authentication failed")
