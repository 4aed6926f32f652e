"""A full disk and damaged files: one clear message, nothing destroyed, and work goes on after."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from factories import make_judgment

from storage import records
from storage.damage import check_log, log_file, set_aside
from storage.errors import DamagedError, StoreError
from storage.records import Verdict
from storage.store import Store

ROOT = Path(__file__).parents[2]

KILLED = """
import os, sys
from pathlib import Path
sys.path.insert(0, "tests")
from factories import make_judgment
from storage.records import Verdict
from storage.store import Store
with Store(Path(sys.argv[1])) as store, store.connected() as connection:
    connection.connection.execute("checkpoint")
    for i in range(20):
        store.append([make_judgment("c1:x", f"labeler {i}", Verdict.TIE)])
    os.kill(os.getpid(), 9)
"""

# Stores judgments on a full disk (a limit on the size of files), then with room again.
FULL = """
import json, os, resource, secrets, sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, "tests")
from factories import make_judgment
from storage.errors import StoreError
from storage.records import Verdict
from storage.store import Store
database, written_back_at, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
stored, refused = [], []
def put(n):
    one = make_judgment("c1:x", f"labeler {n}", Verdict.TIE)
    try:
        store.append([replace(one, rationale=secrets.token_hex(2000))])
    except StoreError as error:
        refused.append(str(error))
    else:
        stored.append(one.labeler)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
store = Store(database, hold=True)
store._held._connection.connection.execute(f"set wal_autocheckpoint = '{written_back_at}'")
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
n = 0
while not refused and n < 3000:
    put(n := n + 1)
for _ in range(5):
    put(n := n + 1)
found_when_full = len(store.query("judgments_present"))
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
before = len(refused)
for _ in range(5):
    put(n := n + 1)
print(json.dumps({
    "stored": stored, "refused": refused[:before], "after": len(refused) - before,
    "found_when_full": found_when_full, "known": sorted(set(refused)),
}))
sys.stdout.flush()
os.kill(os.getpid(), 9)
"""


def judges(database: Path) -> set[str]:
    return {j.labeler for j in Store(database).read(records.Judgment, "judgments_present")}


def run(code: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == -9, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Path:
    """A database of 20 judgments that are all in the log, as a kill leaves it."""
    database = tmp_path_factory.mktemp("killed") / "pairloop.duckdb"
    run(KILLED, database)
    assert log_file(database).stat().st_size > 2000
    return database


@pytest.fixture
def copy(killed, tmp_path) -> Path:
    """Its two files in a folder of their own."""
    database = tmp_path / "pairloop.duckdb"
    database.write_bytes(killed.read_bytes())
    log_file(database).write_bytes(log_file(killed).read_bytes())
    return database


def written(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize(
    ("written_back_at", "limit"),
    [("1GB", 1_500_000), ("1MB", 1_200_000)],
    ids=["amid a commit", "amid writing the log back"],
)
def test_a_full_disk_refuses_what_it_can_not_store_and_then_goes_on(
    tmp_path, written_back_at, limit
):
    """The second one makes DuckDB give the open database up."""
    database = tmp_path / "pairloop.duckdb"
    found = json.loads(run(FULL, database, written_back_at, limit))
    assert found["refused"], "the disk was full at some time"
    assert found["after"] == 0, "once there is room, everything is stored again"
    assert all("is full" in message and "Free some space" in message for message in found["known"])
    assert found["found_when_full"] >= len(found["stored"]) - 5
    assert set(found["stored"]) <= judges(database)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.5, 0.9, 0.999])
def test_a_log_that_ends_amid_an_entry_keeps_all_before_it(copy, share):
    whole = log_file(copy).read_bytes()
    log_file(copy).write_bytes(whole[: int(len(whole) * share)])
    kept = judges(copy)
    assert kept == {f"labeler {i}" for i in range(len(kept))}
    assert abs(len(kept) - 20 * share) <= 2


def test_space_taken_but_never_written_costs_nothing_and_is_kept_aside(copy):
    """What some file systems leave after a power cut."""
    whole = log_file(copy).read_bytes() + bytes(4096)
    log_file(copy).write_bytes(whole)
    assert judges(copy) == {f"labeler {i}" for i in range(20)}
    (aside,) = copy.parent.glob("*.damaged-*")
    assert aside.read_bytes() == whole


def entries(log: bytes) -> list[int]:
    """Where each entry begins."""
    found, at = [], 8
    while at < len(log):
        found.append(at)
        at += 16 + int.from_bytes(log[at : at + 8], "little")
    assert at == len(log)
    return found


@pytest.mark.parametrize("byte", [0, 3, 7, 8, 15, 16, 20], ids=lambda n: f"byte {n} of an entry")
def test_a_damaged_log_is_told_with_what_to_do_and_nothing_is_touched(copy, byte):
    """Also where DuckDB would drop the rest in silence, because a length is wrong."""
    whole = bytearray(log_file(copy).read_bytes())
    begins = entries(whole)
    whole[begins[len(begins) // 2] + byte] ^= 0xFF
    log_file(copy).write_bytes(bytes(whole))
    before = written(copy.parent)
    for hold in (False, True):
        with pytest.raises(DamagedError, match=r"damaged at byte \d+ of \d+.*pairloop repair"):
            Store(copy, hold=hold).query("judgments_present")
    assert written(copy.parent) == before


@pytest.mark.parametrize("at", [0, 2, 4, 5])
def test_a_log_whose_beginning_is_damaged_is_not_written_over(copy, at):
    """DuckDB would take it for none, and begin a new one in its place."""
    whole = bytearray(log_file(copy).read_bytes())
    whole[at] ^= 0xFF
    log_file(copy).write_bytes(bytes(whole))
    before = written(copy.parent)
    with pytest.raises(DamagedError, match=r"damaged at byte 0 .*it does not begin as a log does"):
        Store(copy).query("judgments_present")
    assert written(copy.parent) == before


def test_setting_the_damage_aside_keeps_what_was_stored_before_it(copy):
    whole = log_file(copy).read_bytes()
    begins = entries(whole)
    at = begins[len(begins) // 2] + 20
    log_file(copy).write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
    damaged = log_file(copy).read_bytes()
    with pytest.raises(DamagedError) as told:
        judges(copy)
    aside, cut = set_aside(copy, told.value.at)
    assert aside.read_bytes() == damaged
    assert cut == len(damaged) - told.value.at
    kept = judges(copy)
    assert kept == {f"labeler {i}" for i in range(len(kept))}
    assert 8 <= len(kept) <= 11


@pytest.mark.parametrize("content", [b"", b"not a database " * 1000])
def test_a_file_that_is_no_database_is_told_and_left_alone(tmp_path, content):
    database = tmp_path / "pairloop.duckdb"
    database.write_bytes(content)
    with pytest.raises(StoreError, match="Nothing was changed"):
        Store(database).query("judgments_present")
    assert database.read_bytes() == content


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, "tests")
from factories import make_judgment
from storage.records import Verdict
from storage.store import Store
with Store(Path(sys.argv[1])) as store, store.connected():
    print("ready", flush=True)
    for i in range(400):
        store.append([make_judgment("c1:x", f"labeler {i}", Verdict.TIE)])
"""


def test_a_log_that_another_process_is_writing_is_not_taken_for_damaged(tmp_path):
    database = tmp_path / "pairloop.duckdb"
    command = [sys.executable, "-c", WRITER, str(database)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "ready\n"
        looked = 0
        while writer.poll() is None:
            check_log(database)
            looked += 1
        assert writer.returncode == 0
    assert looked > 50


def test_a_store_goes_on_as_before_without_damage(copy):
    with Store(copy) as store:
        store.append([make_judgment("c1:x", "one more", Verdict.TIE)])
    assert len(judges(copy)) == 21
    assert not list(copy.parent.glob("*.damaged-*"))
