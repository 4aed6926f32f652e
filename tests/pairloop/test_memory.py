"""The memory of a server that other commands read from, which must not grow with their reading."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
from factories import make_policy, make_prompt, make_response

from storage.quack import attach
from storage.store import Store

READERS = 5
READS = 25
ROWS = 3000

SERVER = """
import sys
from pairloop.memory import give_memory_back
if sys.argv[2] == "give back":
    give_memory_back()
from pathlib import Path
from storage.store import Store
with Store(Path(sys.argv[1]), hold=True):
    print("ready", flush=True)
    sys.stdin.read()
"""


def read(database: Path, times: int) -> None:
    served = attach(database)
    for _ in range(times):
        served.query("select * from response_rows", {})


def anonymous_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Some thousand answers, as a few rounds leave them."""
    file = tmp_path_factory.mktemp("memory") / "pairloop.duckdb"
    prompt, policy = make_prompt(), make_policy()
    ids = tuple(range(64))
    with Store(file) as store, store.connected():
        store.append([policy])
        store.append([prompt])
        store.append(
            [
                make_response(prompt, policy, f"{i} {'tea ' * 300}", index=i, token_ids=ids)
                for i in range(ROWS)
            ]
        )
    return file


def grown(database: Path, *, setting: str) -> float:
    """MB that a server grows by while others read the answers over and over, after a first time."""
    context = multiprocessing.get_context("spawn")
    environment = {k: v for k, v in os.environ.items() if "MALLOC" not in k}
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(database), setting],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    ) as server:
        try:
            assert server.stdout.readline() == "ready\n"
            weights = []
            for _ in range(READERS):
                reader = context.Process(target=read, args=(database, READS))
                reader.start()
                reader.join(timeout=120)
                assert reader.exitcode == 0
                weights.append(anonymous_mb(server.pid))
        finally:
            server.stdin.close()
            server.wait(timeout=30)
    return weights[-1] - weights[0]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_server_does_not_grow_with_what_others_read_of_it(database):
    """Measured beside a server left alone, since how much one grows is the machine's affair:
    5 to 35 MB against 270 to 330 on two cores."""
    assert grown(database, setting="give back") < grown(database, setting="leave alone") / 2
