"""What survives when things are killed, run full, lose power or tell the wrong time.

    python -m benchmarks.chaos               # everything: about half an hour on 2 cores
    python -m benchmarks.chaos --quick       # a few of each: about a minute
    python -m benchmarks.chaos --only kills --kills 20 --seed 7

Each labeler keeps what was acknowledged on their own side, and the store is compared with that:
nothing acknowledged may be missing (lost), nothing may be there twice or unasked (doubled), and the
last acknowledged decision on a pair is the one that counts (wrong).
"""

import argparse
import os
import platform
import random
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import reduce
from operator import add
from pathlib import Path

from benchmarks.chaos_loop import kill_engine, kill_generate, kill_train
from benchmarks.labeling_crowd import Crowd, Diary, Found, compare
from benchmarks.labeling_server import LabelingServer
from benchmarks.labeling_workspace import make_workspace, sessions
from storage.store import Store

PEOPLE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of each."""

    kills: int
    power_cuts: int
    stops: int
    loop_kills: int
    engine: bool
    pairs: int


LONG = Sizes(kills=100, power_cuts=20, stops=5, loop_kills=5, engine=True, pairs=6000)
QUICK = Sizes(kills=5, power_cuts=3, stops=1, loop_kills=1, engine=False, pairs=1500)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def at_work(
    folder: Path, *, seed: int, pairs: int = 1500, **crowd: float
) -> Iterator[tuple[LabelingServer, Crowd]]:
    """A server with a crowd at work on it; both have gone home after, the crowd first."""
    space = make_workspace(folder, pairs=pairs, labelers=PEOPLE, config="votes_per_pair = 2")
    with space.store() as store:
        tokens = sessions(store, labelers=PEOPLE)
    server = LabelingServer(folder, port=free_port())
    with server.running():
        workers = Crowd(server.address, tokens, seed=seed, **crowd)  # type: ignore[arg-type]
        workers.start()
        try:
            yield server, workers
        finally:
            workers.finish()


def found_in(folder: Path, diary: Diary) -> Found:
    with Store(folder / "pairloop.duckdb") as store:
        return compare(store, diary)


def kills(folder: Path, sizes: Sizes, seed: int) -> Found:
    """kill -9 of the labeling server at random moments, while it starts too."""
    chance = random.Random(seed)
    with at_work(folder, seed=seed, pairs=sizes.pairs, rationale_chars=2000) as (server, crowd):
        for n in range(sizes.kills):
            time.sleep(chance.uniform(0.05, 1.5))
            server.kill()
            server.start()
            if n % 5 == 4:
                time.sleep(chance.uniform(0.0, 1.5))
                server.kill()
                server.start()
            server.wait()
        time.sleep(0.5)
    return found_in(folder, crowd.diary)


def power_cuts(folder: Path, sizes: Sizes, seed: int) -> Found:
    """The files as they are at random moments under load, opened elsewhere."""
    chance, copies = random.Random(seed), []
    with at_work(folder, seed=seed, pairs=sizes.pairs, rationale_chars=4000) as (server, crowd):
        for n in range(sizes.power_cuts):
            time.sleep(chance.uniform(0.1, 1.5))
            copy = folder / "copies" / str(n)
            copy.mkdir(parents=True)
            with server.paused():
                told = dict(crowd.diary.acknowledged)
                for name in ("pairloop.duckdb", "pairloop.duckdb.wal"):
                    if (folder / name).exists():
                        shutil.copyfile(folder / name, copy / name)
            copies.append((copy, told))
    founds = []
    for copy, told in copies:
        with Store(copy / "pairloop.duckdb") as store:
            founds.append(compare(store, crowd.diary, acknowledged=told))
        shutil.rmtree(copy)
    return reduce(add, founds)


def disk_full(folder: Path, sizes: Sizes, seed: int) -> Found:
    """No room for the log for two seconds, then room again."""
    with at_work(folder, seed=seed, pairs=sizes.pairs, rationale_chars=2000) as (server, crowd):
        time.sleep(1.5)
        log = folder / "pairloop.duckdb.wal"
        before = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
        room = log.stat().st_size + 50_000 if log.exists() else 50_000
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (room, before[1]))
        time.sleep(2.5)
        stored = len(crowd.diary.acknowledged)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, before)
        time.sleep(2)
    assert any("disk of the server is full" in said for said in crowd.diary.later), (
        f"nobody was told that the disk is full: {crowd.diary.later}"
    )
    assert len(crowd.diary.acknowledged) > stored, "it did not go on with room again"
    return found_in(folder, crowd.diary)


def stops(folder: Path, sizes: Sizes, seed: int) -> Found:
    """SIGTERM under load: answered or refused, and gone within seconds."""
    chance = random.Random(seed)
    with at_work(folder, seed=seed, pairs=sizes.pairs) as (server, crowd):
        for _ in range(sizes.stops):
            time.sleep(chance.uniform(0.3, 1.5))
            code, seconds = server.stop()
            said = server.log.read_text()
            assert code == 0, f"exit code {code}: {said[-2000:]}"
            assert seconds < 15, f"it took {seconds:.1f} s to stop"
            assert not (folder / "pairloop.duckdb.serving").exists(), "it did not clean up"
            server.start()
            server.wait()
    return found_in(folder, crowd.diary)


def two_servers(folder: Path, sizes: Sizes, seed: int) -> Found:
    """A second server on the same database is sent away, and the first one goes on."""
    with at_work(folder, seed=seed, pairs=sizes.pairs) as (_server, crowd):
        command = [sys.executable, "-m", "pairloop", "annotate", "--port", "0", "-w", str(folder)]
        second = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert second.returncode == 1, second.stderr
        assert "already served by another `pairloop annotate`" in second.stderr, second.stderr
        time.sleep(0.5)
    return found_in(folder, crowd.diary)


SCENARIOS: dict[str, Callable[[Path, Sizes, int], Found]] = {
    "kills": kills,
    "power-cuts": power_cuts,
    "disk-full": disk_full,
    "stops": stops,
    "two-servers": two_servers,
    "generate": lambda folder, sizes, seed: kill_generate(folder, sizes.loop_kills, seed),
    "train": lambda folder, sizes, seed: kill_train(folder, sizes.loop_kills, seed),
    "engine": lambda folder, _sizes, _seed: kill_engine(folder),
}


def table(rows: dict[str, tuple[int, Found, float]]) -> str:
    names = [f.name for f in fields(Found)]
    lines = ["| what | times | " + " | ".join(names) + " | seconds |"]
    lines.append("| --- |" + " ---: |" * (len(names) + 2))
    for what, (times, found, seconds) in rows.items():
        cells = [str(getattr(found, name)) for name in names]
        lines.append(f"| {what} | {times} | {' | '.join(cells)} | {seconds:.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few of each")
    parser.add_argument("--only", nargs="*", choices=SCENARIOS, help="these alone")
    parser.add_argument("--kills", type=int, help="of the labeling server")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    asked = parser.parse_args()
    sizes = QUICK if asked.quick else LONG
    if asked.kills is not None:
        sizes = Sizes(
            **{f.name: getattr(sizes, f.name) for f in fields(sizes)} | {"kills": asked.kills}
        )
    times = {
        "kills": sizes.kills + sizes.kills // 5,
        "power-cuts": sizes.power_cuts,
        "stops": sizes.stops,
        "generate": sizes.loop_kills,
        "train": sizes.loop_kills,
    }
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before, "
        f"seed {asked.seed}\n",
        flush=True,
    )
    rows = {}
    with tempfile.TemporaryDirectory(prefix="pairloop-chaos-") as name:
        for what in asked.only or SCENARIOS:
            if what == "engine" and not (sizes.engine or asked.only):
                continue
            began = time.monotonic()
            found = SCENARIOS[what](Path(name) / what, sizes, asked.seed)
            rows[what] = (times.get(what, 1), found, time.monotonic() - began)
            print(f"{what}: {found}", file=sys.stderr, flush=True)
    print(table(rows))
    bad = [what for what, (_, f, _) in rows.items() if f.lost or f.doubled or f.wrong]
    if bad:
        raise SystemExit(f"Something was lost, doubled or wrong: {', '.join(bad)}")


if __name__ == "__main__":
    main()
