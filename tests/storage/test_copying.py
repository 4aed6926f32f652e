"""Backup, restore and moving: the same rows, table by table, or nothing at all."""

import subprocess
import sys
import tomllib
from datetime import datetime
from pathlib import Path
from threading import Event, Thread

import duckdb
import pyarrow as pa
import pytest
from factories import make_judgment, make_prompt
from serving import wait_for

from pairloop import commands_store
from pairloop.moving import with_storage
from pairloop.workspace import Workspace, init_workspace, open_workspace
from storage import copying
from storage.codec import TABLES, arrow_schema
from storage.config import StorageConfig
from storage.copying import Extents, extents, same, total
from storage.embedded import migrations
from storage.errors import ConflictError, InputError, StoreError
from storage.lake import PREFIX
from storage.records import Verdict
from storage.store import Store

ROOT = Path(__file__).parents[2]
VALUES = {
    pa.string(): ['it\'s \0 "so"', "", None],
    pa.int64(): [-(2**63), 7, None],
    pa.float64(): [0.1, float("-inf"), None],
    pa.bool_(): [True, False, None],
    pa.timestamp("us"): [datetime(2026, 1, 2, 3, 4, 5, 678901), datetime(1970, 1, 1), None],
    pa.list_(pa.string()): [["a, b", "\0", ""], [], None],
    pa.list_(pa.int32()): [[1, 2**31 - 1], [], None],
    pa.list_(pa.float32()): [[0.1, -1e-30], [], None],
}
# Copies as the command does, and is killed when the first rows are on their way.
KILLED = """
import os, signal, sys
from pathlib import Path
from storage import copying
from storage.store import Store, from_text
batches = copying._batches
def killed(*arguments):
    for n, batch in enumerate(batches(*arguments)):
        if n == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch
copying._batches = killed
what, where = sys.argv[1:3]
if what == "backup":
    copying.backup(Store(Path(sys.argv[3])), Path(where))
with copying.opened_backup(Path(sys.argv[3])) as source:
    copying.fill(Store(from_text(where)), source)
"""


def put_rows(store: Store) -> Extents:
    """Three rows of awkward values in every table there is."""
    with store.connected() as connection:
        for kind, table in TABLES.items():
            schema = arrow_schema(kind)
            arrays = [pa.array(VALUES[field.type], field.type) for field in schema]
            connection.append(table, pa.Table.from_arrays(arrays, schema=schema))
        return extents(connection)


def held_by(store: Store) -> Extents:
    with store.connected() as connection:
        return extents(connection)


@pytest.fixture
def space(tmp_path) -> Workspace:
    return init_workspace(tmp_path / "space", model="some/model")[0]


def other(folder: Path) -> Workspace:
    return init_workspace(folder, model="some/model")[0]


def test_a_backup_has_every_row_of_every_table_and_restores_them(tmp_path, space, capsys):
    found = put_rows(space.store())
    assert total(found) == 3 * len(TABLES)
    commands_store.backup(tmp_path / "b.duckdb", workspace=space.root)
    empty = other(tmp_path / "empty")
    commands_store.restore(tmp_path / "b.duckdb", workspace=empty.root)
    assert same(held_by(empty.store()), found)
    commands_store.restore(tmp_path / "b.duckdb", workspace=empty.root)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"Wrote {3 * len(TABLES)} rows to")
    assert said[1].startswith(f"Restored {3 * len(TABLES)} rows")
    assert said[2].startswith("These rows are there already")
    assert same(held_by(empty.store()), found)


def test_a_row_that_differs_anywhere_makes_two_stores_differ(tmp_path):
    one, two = Store(tmp_path / "one.duckdb"), Store(tmp_path / "two.duckdb")
    for store, last in ((one, "dee"), (two, "eve")):
        store.append([make_judgment("c1:x", who, Verdict.TIE) for who in ("ann", "bob", last)])
    assert total(held_by(one)) == total(held_by(two)) == 3
    assert not same(held_by(one), held_by(two))


def test_nothing_is_ever_overwritten(tmp_path, space):
    put_rows(space.store())
    out = tmp_path / "b.duckdb"
    commands_store.backup(out, workspace=space.root)
    before = out.read_bytes()
    with pytest.raises(ConflictError, match="exists already"):
        commands_store.backup(out, workspace=space.root)
    assert out.read_bytes() == before
    used = other(tmp_path / "used")
    used.store().append([make_prompt("Mine")])
    with pytest.raises(ConflictError, match="holds 1 row already, and nothing is overwritten"):
        commands_store.restore(out, workspace=used.root)
    assert total(held_by(used.store())) == 1


@pytest.mark.parametrize("content", [None, b"dear diary, " * 1000])
def test_what_is_no_backup_is_refused(tmp_path, space, content):
    file = tmp_path / "no.duckdb"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises((InputError, StoreError), match=r"no\.duckdb"):
        commands_store.restore(file, workspace=space.root)
    assert total(held_by(space.store())) == 0


@pytest.mark.parametrize("kind", ["file", pytest.param("lake", marks=pytest.mark.postgres)])
def test_a_backup_made_while_people_label_has_all_that_was_acknowledged_before_and_no_half(
    tmp_path, space, request, kind
):
    """Whatever a row of the backup refers to is in it too."""
    if kind == "lake":
        address = request.getfixturevalue("lakes").new()
        commands_store.move(str(address), data=address.data, workspace=space.root)
        space = open_workspace(space.root)
    with space.store(hold=True) as store:
        put_rows(store)
        enough = Event()
        acknowledged: list[str] = []

        def label() -> None:
            number = 0
            while not enough.is_set():
                store.append([make_prompt(f"late {number}")])
                store.append([make_judgment(f"late {number}", "late", Verdict.TIE)])
                acknowledged.append(f"late {number}")
                number += 1

        writer = Thread(target=label)
        writer.start()
        wait_for(lambda: len(acknowledged) >= 3)
        before = list(acknowledged)
        command = [sys.executable, "-m", "pairloop", "store", "backup", str(tmp_path / "b.duckdb")]
        done = subprocess.run(
            [*command, "-w", str(space.root)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        enough.set()
        writer.join()
        assert done.returncode == 0, done.stderr
    with copying.opened_backup(tmp_path / "b.duckdb") as made:
        named = "select labeler, pair_id from judgment_rows where labeler is not null"
        rows = made.query(named, {}).to_pylist()
        texts = str(made.query("select messages from prompt_rows", {}).to_pylist())
    assert {*before} <= {row["pair_id"] for row in rows}
    for row in rows:
        assert row["labeler"] != "late" or f'"{row["pair_id"]}"' in texts


def kill_while_copying(*arguments: object) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, arguments)], cwd=ROOT, capture_output=True
    )
    assert done.returncode == -9, done.stderr


def test_a_killed_backup_or_restore_leaves_nothing_half_written(tmp_path, space):
    found = put_rows(space.store())
    out = tmp_path / "b.duckdb"
    kill_while_copying("backup", out, space.root / "pairloop.duckdb")
    assert not out.exists()
    commands_store.backup(out, workspace=space.root)
    empty = other(tmp_path / "empty")
    kill_while_copying("restore", empty.root / "pairloop.duckdb", out)
    assert total(held_by(empty.store())) == 0
    commands_store.restore(out, workspace=empty.root)
    assert same(held_by(empty.store()), found)


@pytest.mark.postgres
def test_rows_move_to_a_lake_and_back(tmp_path, space, lakes, capsys):
    found = put_rows(space.store())
    text = (space.root / "pairloop.toml").read_text()
    address = lakes.new()
    out = tmp_path / "b.duckdb"
    commands_store.backup(out, workspace=space.root)
    kill_while_copying("restore", f"{address}\n{address.data}", out)
    assert total(held_by(Store(address))) == 0

    commands_store.move(str(address), data=address.data, workspace=space.root)
    moved = open_workspace(space.root)
    assert moved.database == address
    assert not (space.root / "pairloop.duckdb").exists()
    assert same(held_by(moved.store()), found)
    with pytest.raises(ConflictError, match=r"are at ducklake:postgres:.* already"):
        commands_store.move(str(address), data=address.data, workspace=space.root)
    commands_store.compact(workspace=space.root)
    assert same(held_by(moved.store()), found)
    commands_store.backup(tmp_path / "of-lake.duckdb", workspace=space.root)

    commands_store.move("file", workspace=space.root)
    back = open_workspace(space.root)
    assert same(held_by(back.store()), found)
    assert same(held_by(Store(tmp_path / "of-lake.duckdb")), found)
    assert tomllib.loads((space.root / "pairloop.toml").read_text()) == tomllib.loads(text)
    assert "pairloop.duckdb.moved keeps them" in capsys.readouterr().out


def test_a_store_that_a_server_has_is_not_moved(space):
    """Another process finds the file served; what the server went on to write would be lost."""
    put_rows(space.store())
    words = ["store", "move", f"{PREFIX}dbname=x", "--data", "/nonexistent", "-w", str(space.root)]
    with space.store(hold=True):
        done = subprocess.run(
            [sys.executable, "-m", "pairloop", *words], cwd=ROOT, capture_output=True, text=True
        )
    assert done.returncode == 1
    assert "is open in a labeling server" in done.stderr
    assert open_workspace(space.root).database == space.root / "pairloop.duckdb"


def test_only_the_storage_section_of_the_configuration_changes():
    text = '# mine\n[storage]  # here\nstore = "old"\n\n[generate]\nmodel = "[storage]"  # "x"\n'
    lake = StorageConfig(store='ducklake:postgres:dbname="x"', data="/srv/p")
    changed = with_storage(text, lake)
    assert changed.startswith('# mine\n[generate]\nmodel = "[storage]"  # "x"\n')
    assert tomllib.loads(changed)["storage"] == {"store": lake.store, "data": "/srv/p"}
    assert (
        with_storage(changed, StorageConfig()) == '# mine\n[generate]\nmodel = "[storage]"  # "x"\n'
    )


def first_version(path: Path) -> dict[str, list[dict[str, object]]]:
    """A database as the first release made it, with rows of awkward values in each of its tables."""
    types = {"VARCHAR": pa.string(), "BIGINT": pa.int64(), "DOUBLE": pa.float64()}
    types |= {"BOOLEAN": pa.bool_(), "TIMESTAMP": pa.timestamp("us")}
    types |= {"VARCHAR[]": pa.list_(pa.string()), "INTEGER[]": pa.list_(pa.int32())}
    found = {}
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table schema_versions (version bigint, applied_at timestamp)")
        connection.execute(migrations()[0][1])
        connection.execute("insert into schema_versions values (1, '2026-01-01')")
        tables = "select table_name from duckdb_tables() where table_name like '%_rows'"
        for (table,) in connection.execute(tables).fetchall():
            columns = connection.execute(f"describe {table}").fetchall()
            rows = pa.table(
                [pa.array(VALUES[types[c[1]]], types[c[1]]) for c in columns],
                names=[c[0] for c in columns],
            )
            connection.execute(f"insert into {table} by name from rows")
            found[table] = rows.to_pylist()
    return found


@pytest.mark.parametrize("to", ["file", pytest.param("lake", marks=pytest.mark.postgres)])
def test_a_store_of_the_first_version_keeps_every_row_wherever_it_goes(tmp_path, request, to):
    """Opened by this version, or restored from a backup of then; the backup stays as it was."""
    old = tmp_path / "old.duckdb"
    rows = first_version(old)
    assert len(rows) == 12
    before = old.read_bytes()
    database = tmp_path / "new.duckdb" if to == "file" else request.getfixturevalue("lakes").new()
    with copying.opened_backup(old) as source:
        assert copying.fill(Store(database), source) == 3 * len(rows)
    assert old.read_bytes() == before
    stores = [Store(database)] if to == "lake" else [Store(database), Store(old)]
    for store in stores:
        with store.connected() as connection:
            for table, expected in rows.items():
                columns = ", ".join(f'"{name}"' for name in expected[0])
                found = connection.query(f'select {columns} from "{table}" order by rowid', {})
                assert found.to_pylist() == expected
        for name in ("table_counts", "dashboard_version", "judgment_events_all"):
            assert store.table(name).num_rows > 0
