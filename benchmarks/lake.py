"""What the distributed store costs beside the workspace's own file.

    python -m benchmarks.lake [--rows 1000000]

Starts a PostgreSQL server of its own on 127.0.0.1 with a folder for the rows, both in a temporary
folder of this machine: no network in between, fsync on. Medians, in milliseconds; then seconds for one
append of many judgments, and the size of what it wrote.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import pyarrow as pa
from factories import fill_store, make_judgment
from postgres import Lakes, postgres_server

from storage.codec import encode
from storage.records import Verdict
from storage.store import Store

QUERIES = ("pair_count", "team_versions", "pairs_all", "judgments_present")


def milliseconds(work: Callable[[], object], *, times: int = 30) -> float:
    taken = []
    for _ in range(times):
        began = perf_counter()
        work()
        taken.append(1000 * (perf_counter() - began))
    return median(taken)


def judgments(rows: int) -> pa.Table:
    """So many judgments of 2 people, with ids of their own."""
    block = encode([make_judgment("c1:x", f"labeler {i}", Verdict.TIE) for i in range(2)])
    table = pa.concat_tables([block] * (rows // 2)).combine_chunks()
    for name in ("id", "pair_id"):
        column = pa.array([f"c1:{i // 2}" if name == "pair_id" else f"j{i}" for i in range(rows)])
        table = table.set_column(table.schema.get_field_index(name), name, column)
    return table


def measure(store: Store, many: pa.Table) -> dict[str, float]:
    number = iter(range(10**9))
    found = {"open s": _seconds(lambda: store.query("pair_count"))}
    fill_store(store, pairs=50)

    def one() -> None:
        store.append([make_judgment("c1:x", f"one {next(number)}", Verdict.TIE)])

    found["one-row append ms"] = milliseconds(one)
    for name in QUERIES:
        found[f"{name} ms"] = milliseconds(lambda name=name: store.query(name))
    if store.shared:
        found["sizes ms"] = milliseconds(store.sizes)
    with store.connected() as connection:
        found[f"append of {many.num_rows} rows s"] = _seconds(
            lambda: connection.append("judgment_rows", many)
        )
    found["votes_version after it ms"] = milliseconds(lambda: store.query("votes_version"), times=5)
    found["table_counts after it s"] = _seconds(lambda: store.query("table_counts"))
    return found


def _seconds(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    many = judgments(rows)
    with tempfile.TemporaryDirectory() as folder, postgres_server(fsync=True) as server:
        with Store(Path(folder) / "pairloop.duckdb", hold=True) as own:
            file = measure(own, many)
        lakes = Lakes(server)
        store = Store(lakes.new(), hold=True)
        lake = measure(store, many)
        with store.connected() as connection:
            lake["compact s"] = _seconds(connection.compact)
        written = sum(f.stat().st_size for f in lakes.data.rglob("*.parquet"))
        lake["Parquet MB"] = written / 1e6
    print(f"{'':<32}{'file':>12}{'lake':>12}")
    for name, value in lake.items():
        beside = f"{file[name]:12.2f}" if name in file else f"{'':>12}"
        print(f"{name:<32}{beside}{value:12.2f}")


if __name__ == "__main__":
    main()
