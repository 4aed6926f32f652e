"""`pairloop repair`, as a person types it, after a disk damaged the log."""

import json
import os
import subprocess
import sys

import pytest

from pairloop.workspace import init_workspace
from storage.damage import log_file

KILLED = """
import os, sys
from pathlib import Path
sys.path.insert(0, "tests")
from factories import make_judgment
from storage.records import Verdict
from storage.store import Store
with Store(Path(sys.argv[1])) as store, store.connected():
    for i in range(20):
        store.append([make_judgment("c1:x", f"labeler {i}", Verdict.TIE)])
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def database(tmp_path, micro_model):
    space, _ = init_workspace(tmp_path, model=micro_model)
    with space.store() as store:
        path = store.database
    subprocess.run([sys.executable, "-c", KILLED, str(path)], timeout=60)
    assert log_file(path).stat().st_size > 2000
    return path


def pairloop(folder, *words, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "pairloop", *words, "-w", str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"COLUMNS": "200"},
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr if code else done.stdout


def flip(path, at):
    whole = bytearray(path.read_bytes())
    whole[at] ^= 0xFF
    path.write_bytes(bytes(whole))
    return bytes(whole)


def test_what_was_stored_before_the_damage_is_kept_and_the_damaged_log_too(database):
    log = log_file(database)
    damaged = flip(log, log.stat().st_size // 2)
    said = pairloop(database.parent, "status", code=1)
    assert "pairloop repair" in said
    assert "Nothing was changed" in said
    assert log.read_bytes() == damaged
    found = json.loads(pairloop(database.parent, "repair", "--json"))
    assert 8 <= found["judgments"] <= 11
    (aside,) = database.parent.glob("*.damaged-*")
    assert found["kept_as"] == str(aside)
    assert aside.read_bytes() == damaged
    assert "Nothing is damaged: " in pairloop(database.parent, "repair")


def test_a_damaged_beginning_costs_nothing(database):
    flip(log_file(database), 3)
    found = json.loads(pairloop(database.parent, "repair", "--json"))
    assert found["judgments"] == 20
    assert found["unreadable_bytes"] == 0
