"""What a labeling server needs of a machine: python -m benchmarks.sizing (about two minutes)

Memory and CPU are the server's own numbers, read from its /metrics. Labelers decide every two
seconds on average, five times quicker than people do, and fetch cards as the page does.
"""

import argparse
import asyncio
import os
import platform
import secrets
import shutil
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median

import httpx
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.labeling import BROWSERS, COOKIE, FLAGS, crowd, our_server, percentiles, table
from benchmarks.labeling_workspace import make_workspace, sessions
from benchmarks.response_size import bytes_each as response_bytes
from benchmarks.response_size import responses
from storage.records import (
    Consensus,
    Judgment,
    Presentation,
    Side,
    Strength,
    Verdict,
    content_id,
)
from storage.store import Store, utc_now

PEOPLE = (20, 100)
THINK_SECONDS = 2.0
SCRAPES = 50
JUDGMENTS = 20_000


class Scraper:
    """Reads the server's own numbers."""

    def __init__(self, address: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=address, headers=headers, timeout=60)

    def text(self) -> str:
        return self._http.get("/metrics").raise_for_status().text

    def number(self, name: str) -> float:
        families = text_string_to_metric_families(self.text())
        return next(s.value for f in families for s in f.samples if s.name == name)

    def megabytes(self) -> float:
        return self.number("process_resident_memory_bytes") / 1024**2

    def cpu_seconds(self) -> float:
        return self.number("process_cpu_seconds_total")


def memory(
    scraper: Scraper, address: str, tokens: list[str], *, seconds: float
) -> list[dict[str, object]]:
    """Memory at rest and with people at work, and the CPU they cost."""
    rows: list[dict[str, object]] = [
        {"labelers": 0, "memory_mb": scraper.megabytes(), "note": "just started"}
    ]
    for people in PEOPLE:
        cpu, began = scraper.cpu_seconds(), time.monotonic()
        times, _ = asyncio.run(
            crowd(address, tokens, people=people, think=THINK_SECONDS, seconds=seconds)
        )
        used, took = scraper.cpu_seconds() - cpu, time.monotonic() - began
        rows.append(
            {
                "labelers": people,
                "memory_mb": scraper.megabytes(),
                "judgments_per_second": len(times) / seconds,
                "cpu_ms_per_judgment": 1000 * used / len(times),
                "cpu_share_of_a_core": used / took,
                "p95_ms": percentiles(times)["p95"],
            }
        )
        print(rows[-1], file=sys.stderr)
    time.sleep(3.0)
    rows.append({"labelers": 0, "memory_mb": scraper.megabytes(), "note": "after them"})
    return rows


def scraping(scraper: Scraper) -> tuple[float, float, int]:
    """CPU and wall milliseconds of a scrape, and its bytes."""
    scraper.text()
    cpu, times, size = scraper.cpu_seconds(), [], 0
    for _ in range(SCRAPES):
        began = time.perf_counter()
        size = len(scraper.text())
        times.append((time.perf_counter() - began) * 1000)
    return 1000 * (scraper.cpu_seconds() - cpu) / (SCRAPES + 1), median(times), size


def first_page(address: str, tokens: list[str]) -> str:
    """Seconds until the first pair is on the screen, in Chromium with an empty cache."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        return "no Chromium"
    found, sizes = [], []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        for token in tokens:
            context = browser.new_context()
            context.add_cookies([{"name": COOKIE, "value": token, "url": address}])
            page = context.new_page()
            seen: list[int] = []
            page.on("response", lambda r, s=seen: s.append(int(r.headers.get("content-length", 0))))
            began = time.perf_counter()
            page.goto(f"{address}/label/")
            page.wait_for_function(
                "document.querySelector('.pl-prompt')?.textContent.includes('Question')",
                timeout=60_000,
            )
            found.append(time.perf_counter() - began)
            sizes.append(sum(seen))
            context.close()
        browser.close()
    each = ", ".join(f"{seconds:.2f}" for seconds in found)
    return f"{each} s (at least {sizes[0] / 1e6:.1f} MB)"


def judgment_bytes(folder: Path) -> float:
    """Disk of a judgment without rationale, with how it was shown and what it settled."""
    now = utc_now()
    path = folder / "judgments.duckdb"
    with Store(path) as store, store.connected():
        for start in range(0, JUDGMENTS, 1000):
            shown, said, sums = [], [], []
            for n in range(start, start + 1000):
                pair, who, at = content_id("c1", [str(n // 2)]), f"labeler {n % 20}", now
                presentation = content_id("s1", [pair, who])
                at += timedelta(seconds=n)
                shown.append(
                    Presentation(
                        id=presentation,
                        pair_id=pair,
                        labeler=who,
                        first_side=(Side.LEFT, Side.RIGHT)[n % 2],
                        guideline="g1:0",
                        created_at=at,
                    )
                )
                said.append(
                    Judgment(
                        id=secrets.token_hex(16),
                        pair_id=pair,
                        labeler=who,
                        presentation_id=presentation,
                        revision=0,
                        verdict=(Verdict.FIRST, Verdict.SECOND)[n % 2],
                        strength=Strength.CLEAR,
                        withdrawn=False,
                        seconds=float(n % 37),
                        created_at=at,
                    )
                )
                sums.append(_consensus(pair, n, at))
            for rows in (shown, said, sums):
                store.append(rows)
    return path.stat().st_size / JUDGMENTS


def _consensus(pair_id: str, n: int, at: datetime) -> Consensus:
    return Consensus(
        pair_id=pair_id,
        verdict=Verdict.FIRST if n % 2 else None,
        probability_first=0.8 if n % 2 else 0.6,
        votes=1 + n % 2,
        first_votes=1 + n % 2,
        second_votes=0,
        tie_votes=0,
        both_bad_votes=0,
        method="majority",
        settled=bool(n % 2),
        reason="majority" if n % 2 else "more votes wanted",
        closed=bool(n % 2),
        events=1 + n % 2,
        created_at=at,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of load, for each crowd")
    parser.add_argument("--pairs", type=int, default=10_000)
    asked = parser.parse_args()
    token = os.environ["PAIRLOOP_METRICS_TOKEN"] = secrets.token_hex(16)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="pairloop-sizing-") as name:
        folder = Path(name)
        space = make_workspace(
            folder / "w", pairs=asked.pairs, labelers=max(PEOPLE) + 2, config="votes_per_pair = 2"
        )
        with space.store() as store:
            tokens = sessions(store, labelers=max(PEOPLE) + 2)
        began = time.perf_counter()
        with our_server(space) as address:
            scraper = Scraper(address, token)
            scraper.text()
            started = time.perf_counter() - began
            rows = memory(scraper, address, tokens, seconds=asked.seconds)
            cpu, wall, size = scraping(scraper)
            page = first_page(address, tokens[-2:])
        per_judgment = judgment_bytes(folder)
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f} before\n")
    print(table(rows))
    print(f"\nStart with {asked.pairs} pairs, until it answers: {started:.1f} s")
    print(f"First pair on the screen, empty cache, first and second person: {page}")
    print(f"A scrape: {cpu:.1f} ms of CPU, {wall:.1f} ms, {size / 1000:.0f} kB")
    print(f"Disk of a judgment, its presentation and consensus: {per_judgment:.0f} bytes")
    print(f"Disk of a response of 300 tokens: {response_bytes(responses(2000)):.0f} bytes")


if __name__ == "__main__":
    main()
