"""200 labelers at once for ten minutes, while sampling and training run on the same machine.

    python -m benchmarks.load                            # 10 minutes and some to prepare
    python -m benchmarks.load --minutes 1 --people 50
    python -m benchmarks.load --no-loop                  # the labelers alone

Each labeler fetches cards, thinks, decides and now and then changes their mind, and keeps what was
acknowledged on their own side (benchmarks.labeling_crowd). A lead reads the status every few
seconds. Beside them `pairloop train` and `pairloop generate` take turns on the same database, which
the server shares with them. What was acknowledged is compared with the store at the end.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from annotate.accounts import add_labeler, start_session
from benchmarks.chaos import free_port
from benchmarks.labeling_crowd import COOKIE, Crowd, Diary, compare
from benchmarks.labeling_server import LabelingServer
from pairloop.demo.workspace import MODEL_DIR, PROMPTS_FILE
from pairloop.workspace import Workspace, init_workspace, open_workspace
from storage.quack import attach
from storage.records import Role
from storage.store import Store

CONFIG = f"""\
[generate]
model = "{MODEL_DIR}"
engine = "transformers"
temperatures = [0.7, 1.0, 1.3]
samples_per_temperature = 2
max_tokens = 64
pairs_per_prompt = 8
test_share = 0.0

[annotate]
votes_per_pair = 6

[train]
min_triplets = 5
epochs = 2
batch_size = 8
"""
LOOK_SECONDS = 5.0
_COUNTED = ("judgment_rows", "presentation_rows", "pair_rows", "response_rows", "run_event_rows")
WEIGH = (
    "select (select sum(memory_usage_bytes)::double from duckdb_memory()) as duckdb, "
    + ", ".join(f"(select count(*) from {table}) as {table}" for table in _COUNTED)
)
SAMPLES = 20  # of the server's memory


def prepared(folder: Path, *, people: int, prompts: int) -> tuple[Workspace, list[str], str]:
    """A workspace with sampled pairs; the labelers' cookies and a lead's."""
    init_workspace(folder, model=str(MODEL_DIR), config=CONFIG)
    some = folder / "prompts.jsonl"
    some.write_text("".join(PROMPTS_FILE.read_text().splitlines(keepends=True)[:prompts]))
    command(folder, "prompts", "add", str(some))
    command(folder, "generate")
    space = open_workspace(folder)
    with space.store() as store, store.connected():
        names = [f"l{i}" for i in range(people)]
        for name in names:
            add_labeler(store, name, password=None)
        add_labeler(store, "lead", password=None, role=Role.ADMIN)
        tokens = [start_session(store, name, hours=2) for name in names]
        return space, tokens, start_session(store, "lead", hours=2)


def begin(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pairloop", *words, "-w", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )


def command(folder: Path, *words: str) -> None:
    child = begin(folder, *words)
    _, said = child.communicate()
    assert child.returncode == 0, said[-2000:]


class Loop:
    """`pairloop train` and `pairloop generate` in turns until it is ended."""

    def __init__(self, folder: Path) -> None:
        self.done: dict[str, int] = {"train": 0, "generate": 0}
        self.refused: dict[str, int] = {}
        self._folder = folder
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._ending.is_set():
            for verb in self.done:
                child = begin(self._folder, verb)
                while child.poll() is None and not self._ending.wait(0.5):
                    pass
                if child.poll() is None:
                    child.terminate()
                _, said = child.communicate()
                if child.returncode == 0:
                    self.done[verb] += 1
                elif not self._ending.is_set():
                    last = said.strip().splitlines()[-1][:160] if said.strip() else "nothing said"
                    self.refused[last] = self.refused.get(last, 0) + 1
                    self._ending.wait(5)

    def end(self) -> None:
        self._ending.set()
        self._thread.join(timeout=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """The server's memory at one moment, and what was in the store then."""

    minute: float
    resident: float  # MB
    duckdb: float  # MB: what DuckDB says it holds; the rest is Python's and the allocator's
    rows: dict[str, int]


class Watch:
    """The server's memory and processor time, and a lead who looks at the status."""

    def __init__(self, server: LabelingServer, lead: str, *, seconds: float) -> None:
        self.weights: list[Weight] = []
        self.milliseconds: list[float] = []
        self._server = server
        self._lead = lead
        self._every = seconds / SAMPLES
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._weigh, self._look)
        ]
        for thread in self._threads:
            thread.start()

    def _weigh(self) -> None:
        began = time.monotonic()
        served = attach(self._server.root / "pairloop.duckdb")
        assert served is not None, "the server shares its file"
        while True:
            (said,) = served.query(WEIGH, {}).to_pylist()
            weight = Weight(
                minute=(time.monotonic() - began) / 60,
                resident=self._resident(),
                duckdb=said.pop("duckdb") / 2**20,
                rows=said,
            )
            self.weights.append(weight)
            if self._ending.is_set():
                return
            self._ending.wait(self._every)

    def _resident(self) -> float:
        status = Path(f"/proc/{self._server.pid}/status").read_text()
        line = next(x for x in status.splitlines() if x.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def processor_seconds(self) -> float:
        fields = Path(f"/proc/{self._server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _look(self) -> None:
        asked = urllib.request.Request(
            f"{self._server.address}/api/status", headers={"Cookie": f"{COOKIE}={self._lead}"}
        )
        while not self._ending.wait(LOOK_SECONDS):
            began = time.perf_counter()
            with urllib.request.urlopen(asked, timeout=60) as answer:
                json.load(answer)
            self.milliseconds.append((time.perf_counter() - began) * 1000)

    def end(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(timeout=60)


def routes(diary: Diary, lead: list[float], seconds: float) -> str:
    rows = [*diary.milliseconds.items(), ("GET /api/status (a lead)", lead)]
    lines = ["| route | requests | per second | p50 ms | p95 ms | p99 ms |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    for route, times in rows:
        if len(times) < 2:
            continue
        cuts = quantiles(times, n=100)
        shown = " | ".join(f"{cuts[i]:.0f}" for i in (49, 94, 98))
        lines.append(f"| {route} | {len(times)} | {len(times) / seconds:.1f} | {shown} |")
    return "\n".join(lines)


def memory(weights: list[Weight]) -> str:
    """The server's memory beside what it has to hold."""
    kinds = [kind.removesuffix("_rows") + "s" for kind in weights[0].rows]
    lines = [f"| minute | server, MB | of it DuckDB | the rest | {' | '.join(kinds)} |"]
    lines.append("| ---: " * (4 + len(kinds)) + "|")
    for at in weights:
        rows = " | ".join(f"{n:,}" for n in at.rows.values())
        rest = at.resident - at.duckdb
        lines.append(
            f"| {at.minute:.1f} | {at.resident:.0f} | {at.duckdb:.0f} | {rest:.0f} | {rows} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--think", type=float, default=10.0, help="mean seconds per decision")
    parser.add_argument("--prompts", type=int, default=240, help="of the demo's, eight pairs each")
    parser.add_argument("--no-loop", action="store_true", help="no sampling and training beside")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; "
        f"{asked.people} labelers, {asked.minutes:g} minutes, {asked.think:g} s of thought\n",
        flush=True,
    )
    seconds = asked.minutes * 60
    with tempfile.TemporaryDirectory(prefix="pairloop-load-") as name:
        folder = Path(name) / "workspace"
        space, tokens, lead = prepared(folder, people=asked.people, prompts=asked.prompts)
        server = LabelingServer(folder, port=free_port())
        with server.running():
            loop = None if asked.no_loop else Loop(folder)
            watch = Watch(server, lead, seconds=seconds)
            crowd = Crowd(server.address, tokens, seed=asked.seed, think=asked.think)
            began, busy = time.monotonic(), watch.processor_seconds()
            crowd.start()
            time.sleep(seconds)
            took, busy = time.monotonic() - began, watch.processor_seconds() - busy
            watch.end()
            diary = crowd.finish(seconds=120)
            if loop is not None:
                loop.end()
        with Store(space.root / "pairloop.duckdb") as store:
            found = compare(store, diary)
    print(routes(diary, watch.milliseconds, took), end="\n\n")
    print(memory(watch.weights), end="\n\n")
    print(f"Processor of the server: {100 * busy / took:.0f} % of one core.")
    if loop is not None:
        print(f"Beside it, whole runs: {loop.done}; ended with an error: {loop.refused or 'none'}.")
    print(f"Lost connections: {diary.lost_connections}; asked to try later: {dict(diary.later)}.")
    print(found)
    if found.lost or found.doubled or found.wrong:
        raise SystemExit("Something was lost, doubled or wrong.")


if __name__ == "__main__":
    main()
