"""Sharing the held database file: a real server process, real clients, real DuckDB."""

import json
import math
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from storage import quack
from storage.errors import StoreError

ROOT = Path(__file__).parents[2]
TABLE = """
    create table answers (
        id bigint not null, text varchar, tags varchar[], score double, at_ timestamp,
        good boolean, tokens integer[], logprobs float[], raw blob, made timestamp default now())
"""
COLUMNS = "id, text, tags, score, at_, good, tokens, logprobs, raw"
SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "text": pa.string(),
        "tags": pa.list_(pa.string()),
        "score": pa.float64(),
        "at_": pa.timestamp("us"),
        "good": pa.bool_(),
        "tokens": pa.list_(pa.int32()),
        "logprobs": pa.list_(pa.float32()),
        "raw": pa.binary(),
    }
)
# Holds the file, serves it, and inserts rows with its own cursor while asked to.
SERVER = f"""
import sys
from pathlib import Path
import duckdb
from storage import quack
database = Path(sys.argv[1])
connection = duckdb.connect(str(database))
connection.execute({TABLE!r})
server = quack.serve(connection, database)
print("ready", flush=True)
for line in sys.stdin:
    verb, _, rest = line.strip().partition(" ")
    if verb == "close":
        server.close()
    elif verb == "insert":
        for i in range(int(rest)):
            connection.cursor().execute("insert into answers (id, text) values (?, 'local')", [i])
    elif verb == "sql":
        print(connection.cursor().execute(rest).fetchall(), flush=True)
        continue
    print("done", flush=True)
"""
APPENDER = """
import sys
from pathlib import Path
import pyarrow as pa
from storage import quack
connection = quack.attach(Path(sys.argv[1]))
for i in range(int(sys.argv[3])):
    connection.append("answers", pa.table({"id": [i, i], "text": [sys.argv[2]] * 2}))
"""


class Server:
    def __init__(self, database: Path) -> None:
        self.database = database
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(database)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        return self.process.stdout.readline().strip()

    def ask(self, line: str) -> str:
        self.begin(line)
        return self._line()

    def begin(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def run(name: str = "pairloop.duckdb") -> Server:
        started.append(Server(tmp_path / name))
        return started[-1]

    yield run
    for server in started:
        server.kill()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests that leave it running; each empties nothing, ids differ."""
    server = Server(tmp_path_factory.mktemp("it's=a [b]*") / "pairloop.duckdb")
    yield server
    server.kill()


@pytest.fixture
def remote(shared: Server) -> quack.QuackConnection:
    connection = quack.attach(shared.database)
    assert connection is not None
    return connection


def count(connection: quack.QuackConnection, text: str) -> int:
    sql = "select count(*) as n from answers where text = $text"
    return connection.query(sql, {"text": text}).to_pylist()[0]["n"]


def test_every_column_type_comes_back_exactly_as_it_was_appended(remote):
    """What the store holds does not depend on who wrote it."""
    row = {
        "id": -(2**63),
        "text": "it's \\n \n $$x$$ \0 é🦆 $name",
        "tags": ["a", None, "", "'"],
        "score": 0.1 + 0.2,
        "at_": datetime(2026, 5, 4, 3, 2, 1, 123456),
        "good": True,
        "tokens": [0, -5, 2**31 - 1, None],
        "logprobs": [-0.5, -1e-30],
        "raw": b"\0\xff'",
    }
    empty = dict.fromkeys(row) | {"id": 1, "tags": [], "tokens": [], "score": math.inf}
    rows = pa.Table.from_pylist([row, empty], schema=SCHEMA)
    remote.append("answers", rows)
    read = remote.query(
        f"select {COLUMNS} from answers where id in (select unnest($ids)) order by id",
        {"ids": [row["id"], 1]},
    )
    assert read.schema.types == SCHEMA.types
    assert read.to_pylist() == rows.to_pylist()


def test_an_empty_result_keeps_its_columns_and_types(remote):
    read = remote.query(f"select {COLUMNS} from answers where text = $t", {"t": "nobody"})
    assert read.num_rows == 0
    assert read.schema.names == SCHEMA.names
    assert read.schema.types == SCHEMA.types


def test_columns_left_out_take_their_defaults_and_untyped_nulls_are_stored(remote):
    """An Arrow column of only None has no type; it is NULL whatever the table's type is."""
    remote.append("answers", pa.table({"id": [7], "text": ["nulls"], "tags": [None]}))
    sql = "select tags, made is not null as made from answers where text = 'nulls'"
    assert remote.query(sql, {}).to_pylist() == [{"tags": None, "made": True}]


@pytest.mark.parametrize("ids", [[*range(99_999), None], ["1"] * 99_999 + ["zz"]])
def test_an_append_with_one_bad_row_stores_nothing(remote, shared, ids):
    """All rows or none; Quack's own INSERT would have kept the batches before the bad one."""
    with pytest.raises(StoreError, match="100,000 rows could not be written to answers"):
        remote.append("answers", pa.table({"id": ids, "text": ["bad"] * 100_000}))
    assert count(remote, "bad") == 0
    assert not list(shared.database.parent.glob(".pairloop-append-*"))


def test_a_hundred_thousand_rows_are_appended_at_once(remote, shared):
    n = 100_000
    remote.append("answers", pa.table({"id": range(n), "text": ["many"] * n}))
    assert count(remote, "many") == n
    assert shared.ask("sql select count(*) from answers where text = 'many'") == f"[({n},)]"


def test_appends_of_several_processes_and_of_the_server_are_all_kept(remote, shared):
    """The serving process goes on inserting with its own cursors meanwhile."""
    shared.begin("insert 200")
    others = [
        subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(shared.database), name, "40"], cwd=ROOT
        )
        for name in ("one", "two")
    ]
    assert [p.wait(timeout=60) for p in others] == [0, 0]
    assert shared._line() == "done"
    assert [count(remote, t) for t in ("one", "two", "local")] == [80, 80, 200]


def test_one_connection_serves_many_threads(remote):
    failures = []

    def work(name: str) -> None:
        try:
            for i in range(5):
                remote.append("answers", pa.table({"id": [i], "text": [name]}))
                assert count(remote, name) == i + 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"thread {k}",)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_no_session_stays_open_on_the_server_between_calls(remote, shared):
    """A client killed while idle leaves nothing behind."""
    remote.query("select 1", {})
    assert shared.ask("sql select count(*) from quack_active_connections()") == "[(0,)]"


def test_an_error_in_the_sql_says_so_and_the_connection_goes_on(remote):
    with pytest.raises(duckdb.Error, match='"nonsense"'):
        remote.query("select nonsense from answers", {})
    with pytest.raises(StoreError, match="no_such_column"):
        remote.append("answers", pa.table({"id": [1], "no_such_column": [1]}))
    with pytest.raises(StoreError, match="no_such_table"):
        remote.append("no_such_table", pa.table({"id": [1]}))
    assert remote.query("select 1 as one", {}).to_pylist() == [{"one": 1}]


def test_a_server_that_hangs_is_told_and_one_that_goes_on_is_used(shared, monkeypatch):
    monkeypatch.setattr(quack, "ANSWER_SECONDS", 1)
    os.kill(shared.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreError, match=rf"has not answered.*kill {shared.process.pid}`"):
            quack.attach(shared.database)
    finally:
        os.kill(shared.process.pid, signal.SIGCONT)
    assert quack.attach(shared.database) is not None


def test_somebody_else_on_the_port_of_a_dead_server_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(quack, "ANSWER_SECONDS", 1)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        says = {"host": "127.0.0.1", "port": port, "token": "t", "pid": dead.pid}
        quack.connection_file(tmp_path / "x.duckdb").write_text(json.dumps(says))
        assert quack.attach(tmp_path / "x.duckdb") is None


def test_the_cursors_that_call_send_nothing_twice_and_use_no_proxy():
    with quack._client().cursor() as cursor:
        found = dict(cursor.execute("select name, value from duckdb_settings()").fetchall())
    wanted = {"http_retries": "0", "http_proxy": "", "httpfs_client_implementation": "httplib"}
    assert {name: found[name] for name in wanted} == wanted


def test_a_proxy_in_the_environment_sees_nothing(shared):
    """The token must not travel to the HTTP_PROXY of a company network."""
    code = "import sys; from pathlib import Path; from storage import quack\n"
    code += "assert quack.attach(Path(sys.argv[1])).query('select 1', {}).num_rows == 1"
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    environment = {k: v for k, v in os.environ.items() if k.lower() != "no_proxy"} | proxies
    command = [sys.executable, "-c", code, str(shared.database)]
    assert subprocess.run(command, cwd=ROOT, env=environment).returncode == 0


def test_the_token_is_in_the_owners_file_and_nowhere_else(shared, remote):
    file = quack.connection_file(shared.database)
    says = json.loads(file.read_text())
    assert says["host"] == "127.0.0.1"
    assert says["pid"] == shared.process.pid
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    arguments = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert says["token"] not in arguments
    with pytest.raises(duckdb.Error) as caught:
        remote.query("select nonsense", {})
    assert says["token"] not in str(caught.value)
    assert says["token"] not in repr(vars(remote))


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's socket table")
def test_only_this_machine_can_reach_the_server(shared):
    port = json.loads(quack.connection_file(shared.database).read_text())["port"]
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    lines += Path("/proc/net/tcp6").read_text().splitlines()[1:]
    listening = [w[1] for w in map(str.split, lines) if w[3] == "0A"]
    assert [a for a in listening if a.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


def test_a_wrong_token_is_refused_in_words(shared, tmp_path):
    says = json.loads(quack.connection_file(shared.database).read_text())
    database = tmp_path / "other.duckdb"
    quack.connection_file(database).write_text(json.dumps(says | {"token": "wrong-token"}))
    with pytest.raises(StoreError, match="refuses the token") as caught:
        quack.attach(database)
    assert "wrong-token" not in str(caught.value)


def test_nobody_serves_a_database_without_a_connection_file(tmp_path):
    assert quack.attach(tmp_path / "pairloop.duckdb") is None


def test_a_server_killed_outright_is_not_mistaken_for_a_living_one(start, tmp_path):
    """Neither a free port, a reused process number, nor another server on its port misleads."""
    server = start()
    file = quack.connection_file(server.database)
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    assert file.exists()
    assert quack.attach(server.database) is None
    says = json.loads(file.read_text())
    file.write_text(json.dumps(says | {"pid": os.getpid()}))
    assert quack.attach(server.database) is None
    other = start("other.duckdb")
    reused = json.loads(quack.connection_file(other.database).read_text())["port"]
    file.write_text(json.dumps(says | {"port": reused}))
    assert quack.attach(server.database) is None


@pytest.mark.parametrize("end", ["close", "kill"])
def test_a_server_that_stops_midway_is_named_in_the_error(start, end):
    server = start()
    connection = quack.attach(server.database)
    assert connection is not None
    if end == "close":
        server.ask("close")
        assert not quack.connection_file(server.database).exists()
    else:
        server.kill()
    with pytest.raises(StoreError, match=r"labeling server that held .* Run the command again"):
        connection.query("select 1", {})
    with pytest.raises(StoreError, match=r"labeling server that held .* Run the command again"):
        connection.append("answers", pa.table({"id": [1]}))


def test_closing_gives_the_file_back_and_may_be_repeated(tmp_path):
    database = tmp_path / "pairloop.duckdb"
    with duckdb.connect(str(database)) as connection, quack.serve(connection, database) as server:
        assert quack.attach(database) is not None
    server.close()
    assert list(tmp_path.iterdir()) == [database]
    duckdb.connect(str(database)).close()


def test_a_taken_port_is_refused(tmp_path):
    """Quack itself would share the port of another Quack server, and mix up their clients."""
    database = tmp_path / "pairloop.duckdb"
    with duckdb.connect(str(database)) as connection, quack.serve(connection, database):
        port = json.loads(quack.connection_file(database).read_text())["port"]
        with pytest.raises(StoreError, match=f"Port {port} of 127.0.0.1 can't be used"):
            quack.serve(connection, tmp_path / "b.duckdb", port=port)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        with pytest.raises(StoreError, match="can't be used"):
            quack.serve(duckdb.connect(), database, port=probe.getsockname()[1])


def test_a_missing_extension_is_an_instruction(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with (
        duckdb.connect() as connection,
        pytest.raises(StoreError, match=r"pip install .*duckdb-extension-quack==\d"),
    ):
        quack.serve(connection, tmp_path / "pairloop.duckdb")
