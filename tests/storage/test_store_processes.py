"""One store and many processes: nothing acknowledged is lost, and whoever holds the file is named."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread, Timer

import pytest
from factories import make_judgment

import storage.store
from storage import records
from storage.errors import StoreError
from storage.records import Verdict
from storage.store import Store

ROOT = Path(__file__).parents[2]
# Appends one judgment per line of its input and acknowledges each.
APPENDER = """
import sys
from pathlib import Path
sys.path.insert(0, "tests")
from factories import make_judgment
from storage.records import Verdict
from storage.store import Store
with Store(Path(sys.argv[1]), hold=sys.argv[2] == "hold") as store:
    print("ready", flush=True)
    for line in sys.stdin:
        store.append([make_judgment("c1:x", line.strip(), Verdict.TIE)])
        print(line.strip(), flush=True)
"""
# Each of its ten children appends a judgment, acknowledges it and is killed with the file open.
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, "tests")
from factories import make_judgment
from storage.records import Verdict
from storage.store import Store
for i in range(10):
    if os.fork() == 0:
        store = Store(Path(sys.argv[1]), hold=i % 4 == 1)
        with store.connected():
            store.append([make_judgment("c1:x", f"labeler {i}", Verdict.TIE)])
            print(f"labeler {i}", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    os.wait()
"""
FOREIGN = "import sys, duckdb; c = duckdb.connect(sys.argv[1]); print('ready', flush=True); input()"


@pytest.fixture
def child() -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts Python processes that say "ready" and ends them with the test."""
    started = []

    def start(code: str, *arguments: object) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_what_was_acknowledged_survives_a_kill_right_after(tmp_path, child):
    """Ten kills: now of a labeling server, now of a command amid its work; the file stays usable."""
    database = tmp_path / "pairloop.duckdb"
    acknowledged, _ = child(KILLED, database).communicate(timeout=60)
    assert acknowledged.split("\n")[:-1] == [f"labeler {i}" for i in range(10)]
    stored = Store(database).read(records.Judgment, "judgments_present")
    assert {j.labeler for j in stored} == set(acknowledged.split("\n")[:-1])


def test_two_commands_that_append_at_the_same_time_both_succeed(tmp_path, child):
    """Neither holds the file for long: each waits for the other's turn to end."""
    database = tmp_path / "pairloop.duckdb"
    names = {who: [f"{who} {i}" for i in range(8)] for who in ("one", "two")}
    running = {who: child(APPENDER, database, "pass") for who in names}
    for who, process in running.items():
        process.stdin.write("\n".join(names[who]) + "\n")
        process.stdin.flush()
    for process in running.values():
        process.communicate(timeout=60)
        assert process.returncode == 0
    stored = Store(database).read(records.Judgment, "judgments_present")
    assert {j.labeler for j in stored} == {*names["one"], *names["two"]}
    assert len(stored) == 16


@pytest.mark.parametrize("hold", [True, False])
def test_threads_share_one_store(tmp_path, hold):
    def work(who: str) -> None:
        for i in range(5):
            store.append([make_judgment("c1:x", f"{who} {i}", Verdict.TIE)])

    with Store(tmp_path / "pairloop.duckdb", hold=hold) as store:
        threads = [Thread(target=work, args=(f"thread {k}",)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(store.query("judgments_present")) == 20


def test_a_file_held_by_a_stranger_is_an_error_that_names_the_process(tmp_path, child, monkeypatch):
    monkeypatch.setattr(storage.store, "WAIT_SECONDS", 0.2)
    database = tmp_path / "pairloop.duckdb"
    stranger = child(FOREIGN, database)
    assert stranger.stdout.readline().strip() == "ready"
    for hold in (False, True):
        with pytest.raises(StoreError, match=rf"in use by process {stranger.pid} \(python"):
            Store(database, hold=hold).query("prompts_all")


def test_a_second_labeling_server_is_told_that_there_is_one(tmp_path, child):
    database = tmp_path / "pairloop.duckdb"
    assert child(APPENDER, database, "hold").stdout.readline().strip() == "ready"
    with pytest.raises(StoreError, match="already served by another `pairloop annotate`"):
        Store(database, hold=True)


def test_a_closed_store_that_held_the_file_says_that_it_is_closed(tmp_path):
    store = Store(tmp_path / "pairloop.duckdb", hold=True)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.query("prompts_all")
    assert Store(store.database).query("prompts_all") == []


def test_appends_go_on_when_the_labeling_server_is_killed_under_them(tmp_path, child):
    """A training run must not die of a progress event because somebody closed the pages."""
    database = tmp_path / "pairloop.duckdb"
    server = child(APPENDER, database, "hold")
    assert server.stdout.readline().strip() == "ready"
    store = Store(database)
    store.append([make_judgment("c1:x", "before", Verdict.TIE)])
    killer = Timer(0.1, server.kill)
    killer.start()

    for i in range(60):
        store.append([make_judgment("c1:x", f"labeler {i}", Verdict.TIE)])
    killer.join()

    assert len(store.query("judgments_present")) == 61
