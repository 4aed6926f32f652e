"""The distributed store under what befalls it: racing starters and writers, a catalog that goes away."""

import os
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import pytest
from factories import make_judgment, make_prompt

import storage.lake
from storage import lake
from storage.embedded import migrations
from storage.errors import ConfigurationError, StoreError
from storage.judgments import judgment_events, judgments
from storage.lake import LakeAddress
from storage.lake_errors import CatalogGoneError
from storage.records import Prompt, Verdict
from storage.store import Store, from_text, to_text

pytestmark = pytest.mark.postgres

ROOT = Path(__file__).parents[2]
# Opens the store, then appends one judgment per name and acknowledges each.
WRITER = """
import __main__, sys
__main__.__file__ = "writer"  # DuckDB draws progress bars for what looks like somebody typing
sys.path.insert(0, "tests")
from factories import make_judgment
from storage.lake import LakeAddress
from storage.records import Verdict
from storage.store import Store
store = Store(LakeAddress.of(sys.argv[1], sys.argv[2]), hold=True)
for name in sys.argv[3:]:
    store.append([make_judgment("c1:x", name, Verdict.TIE)])
    print(name, flush=True)
"""


def writer(address: LakeAddress, *names: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(address), address.data, *names],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def acknowledged(process: subprocess.Popen) -> list[str]:
    said, problems = process.communicate(timeout=120)
    assert process.returncode == 0, problems
    return said.split()


def test_starters_that_race_make_one_schema_and_lose_nothing_that_any_of_them_writes(lakes):
    """All of them write the same rows too, as a judgment sent twice is: each counts once."""
    address = lakes.blank()
    names = [f"labeler{i}" for i in range(4)]
    for process in [writer(address, *names, f"own{k}") for k in range(3)]:
        assert len(acknowledged(process)) == 5
    store = Store(address)
    with store.connected() as connection:
        versions = connection.query("select version from schema_versions order by version", {})
        rows = connection.query("select count(*) as n from judgment_rows", {})
    assert versions["version"].to_pylist() == [version for version, _ in migrations()]
    assert rows["n"].to_pylist() == [3 * 5]
    assert len(judgment_events(store)) == len(judgments(store)) == 4 + 3


def test_what_was_acknowledged_outlives_a_catalog_that_is_killed_and_comes_back(lakes):
    """Two threads go on writing while PostgreSQL dies and recovers: they wait, and lose nothing."""
    store = Store(lakes.new(), hold=True)
    store.append([make_judgment("c1:x", "before", Verdict.TIE)])
    done: list[str] = []

    def work(who: str) -> None:
        for i in range(15):
            store.append([make_judgment("c1:x", f"{who} {i}", Verdict.TIE)])
            done.append(f"{who} {i}")
            time.sleep(0.03)

    threads = [Thread(target=work, args=(who,)) for who in ("ann", "bob")]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    lakes.server.crash()
    time.sleep(0.3)
    lakes.server.start()
    for thread in threads:
        thread.join()

    assert len(done) == 30
    assert {j.labeler for j in judgments(store)} == {"before", *done}


def test_a_catalog_that_stays_away_is_one_clear_error_without_the_password(lakes, monkeypatch):
    monkeypatch.setattr(storage.lake, "_WAIT_SECONDS", 0.3)
    monkeypatch.setenv("PGPASSWORD", "hunter2-is-secret")
    address, unopened = lakes.new(), lakes.new()
    store = Store(address, hold=True)
    lakes.server.stop()
    try:
        for attempt in (
            lambda: store.append([make_prompt()]),
            lambda: store.query("prompts_all"),
            lambda: Store(unopened).query("prompts_all"),
        ):
            with pytest.raises(CatalogGoneError) as caught:
                attempt()
            assert "does not answer" in str(caught.value)
            assert "Check that PostgreSQL runs" in str(caught.value)
            assert "hunter2" not in str(caught.value)
    finally:
        lakes.server.start()
    store.append([make_prompt()])
    assert len(store.read(Prompt, "prompts_all")) == 1


def test_compacting_beside_writers_moves_rows_into_files_and_changes_nothing(lakes):
    address = lakes.new()
    store = Store(address, hold=True)
    for i in range(6):
        store.append([make_judgment("c1:x", f"early{i}", Verdict.TIE)])
    others = writer(address, *[f"late{i}" for i in range(12)])
    assert others.stdout.readline().strip() == "late0"

    moved = 0
    for _ in range(2):
        with store.connected() as connection:
            moved += connection.compact().rows

    assert len(acknowledged(others)) == 11
    assert moved >= 7
    assert {j.labeler for j in judgments(store)} == {
        *(f"early{i}" for i in range(6)),
        *(f"late{i}" for i in range(12)),
    }
    assert list((Path(address.data) / "main/judgment_rows").glob("*.parquet"))
    with store.connected() as connection:
        numbers = connection.query("select rowid as n from judgment_rows order by rowid", {})
    assert numbers["n"].to_pylist() == list(range(18))  # what servers tell news by


def test_text_that_ends_early_as_sql_is_stored_whole(lakes):
    store = Store(lakes.new())
    rows = [make_prompt("a\0b", tags=("it's\0", "x")), make_prompt("plain", tags=("a, b", '"', ""))]
    for row in rows:
        store.append([row])
    assert {p.tags for p in store.read(Prompt, "prompts_all")} == {p.tags for p in rows}


def test_a_folder_that_is_not_the_shared_one_is_refused(lakes):
    address = lakes.blank()
    Store(address).append([make_prompt()])
    lake.disconnect(address)
    mark = Path(address.data) / "pairloop-lake.csv"
    mark.rename(mark.with_suffix(".away"))
    with pytest.raises(StoreError, match="Is the shared folder mounted"):
        Store(address).query("prompts_all")
    mark.with_suffix(".away").rename(mark)
    elsewhere = LakeAddress.of(str(address), address.data + "elsewhere")
    with pytest.raises(StoreError, match="keeps its rows elsewhere"):
        Store(elsewhere).query("prompts_all")
    assert len(Store(address).query("prompts_all")) == 1


def test_a_database_that_is_not_there_is_an_error_that_says_what_to_do(lakes):
    address = LakeAddress.of(lakes.uri("nowhere"), str(lakes.data))
    with pytest.raises(StoreError, match=r'database "nowhere" does not exist'):
        Store(address).query("prompts_all")


@pytest.mark.parametrize(
    ("store", "data", "why"),
    [
        ("ducklake:postgres:dbname=x password=hunter2", "/srv", "holds a password"),
        ("ducklake:postgres:postgresql://me:hunter2@db/x", "/srv", "holds a password"),
        ("ducklake:postgres:", "/srv", "a distributed store is"),
        ("postgres:dbname=x", "/srv", "a distributed store is"),
        ("ducklake:postgres:dbname=x", "", "storage.data is missing"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused_before_anything_is_opened(store, data, why):
    with pytest.raises(ConfigurationError, match=why) as caught:
        LakeAddress.of(store, data)
    assert "hunter2" not in str(caught.value)
    assert "PGPASSWORD" in str(caught.value) or "password" not in why


def test_the_place_of_a_store_goes_to_a_child_process_as_one_argument():
    address = LakeAddress.of("ducklake:postgres:dbname=x host=y", "s3://bucket/rows")
    assert from_text(to_text(address)) == address
    assert from_text(to_text(Path("/a b/pairloop.duckdb"))) == Path("/a b/pairloop.duckdb")


def test_the_lake_extensions_come_from_packages_and_not_from_the_network(lakes):
    """A machine without a way out, and without DuckDB's own folder of extensions, can use it."""
    address = lakes.new()
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(address), address.data, "ann"],
        cwd=ROOT,
        env=os.environ | {"HOME": "/nonexistent", "HTTPS_PROXY": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["ann"]), done.stderr
