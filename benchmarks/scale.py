"""What a long project costs: 300,000 responses, 200,000 pairs and 1,000,000 judgments of 200 people.

    python -m benchmarks.scale                         # fills /tmp/pairloop-scale once, then measures a copy
    python -m benchmarks.scale --only desk settle      # some parts: commands, server, desk, pages, settle
    python -m benchmarks.scale --folder /tmp/small --responses 6000 --pairs 4000 --judgments 24000 \\
        --labelers 20

Each part and each command runs in a process of its own. CPU seconds are of all its threads: they say
more than the wall clock where other processes share the cores.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles
from urllib.request import urlopen

from benchmarks.big_store import add_sizes, big_workspace
from pairloop.workspace import open_workspace

PARTS = ("commands", "server", "desk", "pages", "settle")
RESULTS = Path(__file__).parent / "results" / "scale.md"
NEXT = 300  # cards asked for, one by one, and judged
COMMANDS = [
    ["status"],
    ["agreement"],
    ["agreement", "--json"],
    ["export", "OUT", "--format", "dpo"],
    ["export", "OUT", "--format", "votes"],
    ["generate", "--dry-run"],
    ["generate", "--pairs-only", "--dry-run"],
    ["train", "--dry-run"],
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Seconds; what was done once has one number, what was done often its p50 and p95."""

    part: str
    what: str
    wall: float
    cpu: float
    p95: float | None = None
    memory: float | None = None  # peak of the whole process so far, MiB


class Clock:
    """Takes the times of one part."""

    def __init__(self, part: str) -> None:
        self.part = part
        self.rows: list[Row] = []

    @contextmanager
    def once(self, what: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        self._add(Row(part=self.part, what=what, wall=wall, cpu=cpu, memory=peak()))

    def often(self, what: str, act: Callable[[], object], *, times: int) -> None:
        waits = []
        cpu = time.process_time()
        for _ in range(times):
            start = time.perf_counter()
            act()
            waits.append(time.perf_counter() - start)
        self.many(what, waits, cpu=time.process_time() - cpu)

    def many(self, what: str, waits: list[float], *, cpu: float) -> None:
        cuts = quantiles(waits, n=20)
        each = cpu / len(waits)
        self._add(Row(part=self.part, what=what, wall=cuts[9], cpu=each, p95=cuts[18]))

    def _add(self, row: Row) -> None:
        self.rows.append(row)
        print(line(row), file=sys.stderr, flush=True)


def peak(pid: int | str = "self") -> float:
    """Peak memory of a process of this machine in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def desk(root: Path) -> list[Row]:
    """The labeling desk: its start, and what one labeler and a lead's poll wait for."""
    from annotate.bench import Bench
    from annotate.cards import Choice, Submission
    from annotate.desk import Desk
    from benchmarks.labeling_workspace import fresh_key

    clock, space = Clock("desk"), open_workspace(root)
    with space.store(hold=True) as store:
        with clock.once("the desk's start"):
            made = Desk(store, space.annotate)
        with clock.once("a labeler's first four cards"):
            made.hand("labeler-000", count=4, have=())
        with clock.once("a second labeler's first four cards"):
            made.hand("labeler-001", count=4, have=())
        hands, submits, cpu = [], [], [0.0, 0.0]
        for _ in range(NEXT):
            began, start = time.process_time(), time.perf_counter()
            (card,) = made.hand("labeler-002", count=1, have=()).cards
            made.progress("labeler-002")
            hands.append(time.perf_counter() - start)
            cpu[0] += time.process_time() - began
            said = Submission(
                key=fresh_key(),
                presentation=card.presentation,
                choice=Choice.LEFT,
                strength=None,
                seconds=9.0,
            )
            began, start = time.process_time(), time.perf_counter()
            made.submit("labeler-002", said)
            submits.append(time.perf_counter() - start)
            cpu[1] += time.process_time() - began
        clock.many("the next card, with progress", hands, cpu=cpu[0])
        clock.many("a decision, durable", submits, cpu=cpu[1])
        clock.often("history", lambda: made.history("labeler-002", count=20), times=20)
        clock.often("states of the queue", made.queue_states, times=20)
        with clock.once("an adjudicator's cases, first look"):
            bench = Bench(store, made)
            bench.cases("labeler-019")
        with clock.once("an adjudicator's cases, later look"):
            bench.cases("labeler-019")
    return clock.rows


def pages(root: Path) -> list[Row]:
    """What the admin pages ask; new votes come between first and later looks."""
    from annotate.admin_agreement import _disputed_now  # the tab's own part
    from annotate.admin_progress import PATIENCE_SECONDS, progress_html
    from annotate.agreement_html import agreement_html
    from annotate.agreement_kept import kept_full_report, kept_report
    from annotate.overview import kept_overview, status_overview
    from annotate.people_html import people_html
    from annotate.people_stats import pace
    from annotate.queue_counts import PLACES
    from annotate.rounds_html import policies_html
    from storage.queue_pages import gold_rows, queue_page

    clock, space = Clock("pages"), open_workspace(root)
    config = space.annotate
    with space.store(hold=True) as store:
        states = dict.fromkeys((*PLACES, "votes", "extra_votes", "votes_saved"), 0)
        for look in ("first", "later"):
            with clock.once(f"dashboard, {look} look"):
                progress_html(kept_overview(store, config, patience=PATIENCE_SECONDS), states)
            if look == "first":
                with clock.once("dashboard, until its figures are there"):
                    kept_overview(store, config, patience=600)
            with clock.once(f"People tab, {look} look"):
                _people_tab(store, config, people_html, pace)
            with clock.once(f"Agreement tab, {look} look"):
                looked = kept_full_report(store, config)
                agreement_html(looked)
                _disputed_now(_Admin(store, config))
            if look == "first":
                with clock.once("Agreement tab, until its figures are there"):
                    while kept_full_report(store, config).working:
                        time.sleep(0.2)
            with clock.once(f"Rounds tab, {look} look"):
                policies_html(store, root)
            with clock.once(f"/api/agreement, {look} look"):
                kept_report(store, config)
            with clock.once(f"/api/status, {look} look"):
                status_overview(store)
            with clock.once(f"Queue tab, {look} page"):
                queue_page(
                    store,
                    state=None,
                    only=None,
                    votes_per_pair=config.votes_per_pair,
                    evaluation_votes=config.evaluation_votes,
                    count=25,
                    skip=0,
                )
            with clock.once(f"Gold tab, {look} look"):
                gold_rows(store)
            add_votes(store, 20)
    return clock.rows


@dataclass(frozen=True)
class _Admin:
    store: object
    now: object


def _people_tab(store, config, people_html, pace) -> None:
    from annotate.people_stats import people_rows

    people_html(people_rows(store, config), pace(store))


def settle(root: Path) -> list[Row]:
    """A whole pass over consensus with nothing, one vote and a thousand votes new."""
    from annotate.accuracy import project_accuracy
    from annotate.consensus import settle as settle_all

    clock, space = Clock("settle"), open_workspace(root)
    with space.store(hold=True) as store:
        with clock.once("what votes are worth"):
            project_accuracy(store, space.annotate)
        for count in (0, 1, 1000):
            add_votes(store, count)
            with clock.once(f"settling, {count:,} votes new"):
                settle_all(store, space.annotate)
    return clock.rows


def add_votes(store, count: int) -> None:
    """Votes of somebody new on the newest pairs, appended as a command would."""
    from benchmarks.labeling_workspace import fresh_key
    from storage.pairs import pairs_of_round
    from storage.records import Judgment, Purpose, Verdict
    from storage.store import utc_now

    found = pairs_of_round(store, 2, purpose=Purpose.TRAIN)[-count:] if count else []
    store.append(
        [
            Judgment(
                id=fresh_key(),
                pair_id=pair.id,
                labeler="labeler-003",
                presentation_id="s1:none",
                revision=7,
                verdict=Verdict.FIRST,
                strength=None,
                withdrawn=False,
                seconds=9.0,
                created_at=utc_now(),
            )
            for pair in found
        ]
    )


def server(root: Path) -> list[Row]:
    """`pairloop annotate` from its start to its first page."""
    command = [sys.executable, "-m", "pairloop", "annotate", "--port", "0"]
    wall = time.perf_counter()
    child = subprocess.Popen(
        [*command, "--workspace", str(root), "--login", "labeler-000"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    address = next(x for x in child.stdout if x.startswith("Labeling pages: ")).split()[-1]
    while True:
        try:
            with urlopen(f"{address}/login") as answer:
                answer.read()
            break
        except OSError:
            time.sleep(0.05)
    wall = time.perf_counter() - wall
    memory, cpu = peak(child.pid), _cpu(child.pid)
    child.terminate()
    child.wait(timeout=60)
    what = "pairloop annotate, from its start to the first page"
    return [Row(part="server", what=what, wall=wall, cpu=cpu, memory=memory)]


def _cpu(pid: int) -> float:
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def commands(root: Path) -> list[Row]:
    found = []
    with tempfile.TemporaryDirectory(dir=root) as folder:
        for words in COMMANDS:
            out = str(Path(folder) / str(len(found)))
            given = [out if word == "OUT" else word for word in words]
            command = [sys.executable, "-m", "pairloop", *given, "--workspace", str(root)]
            with (root / "logs" / "scale.log").open("wb") as log:
                start = time.perf_counter()
                child = subprocess.Popen(command, stdout=log, stderr=log)
                _, status, used = os.wait4(child.pid, 0)
                wall = time.perf_counter() - start
                child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                raise SystemExit((root / "logs" / "scale.log").read_text())
            row = Row(
                part="commands",
                what=f"`pairloop {' '.join(words)}`",
                wall=wall,
                cpu=used.ru_utime + used.ru_stime,
                memory=used.ru_maxrss / 1024,
            )
            print(line(row), file=sys.stderr, flush=True)
            found.append(row)
    return found


def line(row: Row) -> str:
    """A row of the Markdown table."""

    def said(seconds: float | None) -> str:
        if seconds is None:
            return ""
        return f"{1000 * seconds:,.1f} ms" if seconds < 0.1 else f"{seconds:,.2f} s"

    memory = f"{row.memory:,.0f}" if row.memory else ""
    return f"| {row.what} | {said(row.wall)} | {said(row.p95)} | {said(row.cpu)} | {memory} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("/tmp/pairloop-scale"))
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    add_sizes(parser)
    options = parser.parse_args()
    if options.part:
        rows = globals()[options.part](options.folder)
        print(json.dumps([asdict(row) for row in rows]))
        return
    sizes = {"responses": options.responses, "pairs": options.pairs}
    sizes |= {"judgments": options.judgments, "people": options.labelers}
    big_workspace(options.folder, **sizes)
    found = []
    for part in options.only:
        with tempfile.TemporaryDirectory(prefix="scale-", dir=options.folder.parent) as copy:
            shutil.copytree(options.folder, copy, dirs_exist_ok=True)
            command = [sys.executable, "-m", "benchmarks.scale", "--part", part, "--folder", copy]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found += [Row(**row) for row in json.loads(done.stdout)]
    head = "| what | wall (p50) | p95 | CPU | peak memory, MiB |\n| --- | --- | --- | --- | --- |"
    table = "\n".join([head, *map(line, found)])
    print(table)
    if options.write:
        text = RESULTS.read_text() if RESULTS.exists() else ""
        before, _, _ = text.partition("| what |")
        RESULTS.write_text(before + table + "\n")


if __name__ == "__main__":
    main()
