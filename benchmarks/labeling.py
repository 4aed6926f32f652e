"""How quick labeling is: for the person at the keys, and for many people at once.

    python -m benchmarks.labeling                  # everything, about five minutes
    python -m benchmarks.labeling --keys           # key press to the next pair, in Chromium
    python -m benchmarks.labeling --load           # judgments per second over HTTP

The keys are compared, in the same run and browser, with the page people write today: two
gr.Markdown side by side, a button each, every vote a Gradio event that stores it and brings the
next pair. The load is compared with that page's own endpoint.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

import aiohttp

from benchmarks.labeling_workspace import fresh_key, make_workspace, sessions
from pairloop.workspace import Workspace
from storage import judgments as judging

PEOPLE = (1, 10, 50, 200)
SECONDS = 10.0
THINK_SECONDS = 5.0
COOKIE = "pairloop_session"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]

# In the page: from the key's own time stamp to just after the frame that shows the whole next pair.
WATCH = """
window.measured = [];
const texts = () => SELECTORS.map((s) => document.querySelector(s)?.textContent ?? "");
addEventListener("keydown", (event) => {
  if (event.key !== "2") return;
  const before = texts();
  const look = () => {
    const now = texts();
    if (now.every((text, i) => text && text !== before[i]))
      setTimeout(() => window.measured.push(performance.now() - event.timeStamp));
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}, true);
"""
OURS = [".pl-prompt", '[data-side="left"] .pl-body', '[data-side="right"] .pl-body']
PLAIN = ["#prompt .prose", "#left .prose", "#right .prose"]  # not the progress shown over them


def percentiles(values: list[float]) -> dict[str, float]:
    """Milliseconds at p50, p95 and p99."""
    cuts = quantiles(values, n=100)
    return {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98]}


@contextmanager
def server(command: list[str], log: Path, *, ready: str) -> Iterator[str]:
    """A child process; yields what follows `ready` on the line that begins with it."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            command, stdout=output, stderr=output, env=os.environ | {"PYTHONUNBUFFERED": "1"}
        )
    try:
        address = ""
        while not address:
            if child.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.2)
            lines = log.read_text(errors="replace").splitlines()
            address = next((x.removeprefix(ready) for x in lines if x.startswith(ready)), "")
        yield address
    finally:
        child.send_signal(signal.SIGINT)
        child.wait(timeout=30)


@contextmanager
def our_server(space: Workspace) -> Iterator[str]:
    command = [sys.executable, "-m", "pairloop", "annotate", "--port", "0"]
    command += ["--workspace", str(space.root)]
    with server(command, space.root / "logs" / "server.log", ready="Labeling pages: ") as address:
        yield address


@contextmanager
def plain_server(folder: Path) -> Iterator[str]:
    """The page people write today."""
    command = [sys.executable, "-m", "benchmarks.plain_gradio", str(folder)]
    with server(command, folder / "plain.log", ready="Plain page: ") as address:
        yield address


@contextmanager
def far_away(address: str, delay_ms: int, folder: Path) -> Iterator[str]:
    """The same server behind so much delay, there and back."""
    if not delay_ms:
        yield address
        return
    target = address.removeprefix("http://").strip("/")
    command = [sys.executable, "-m", "benchmarks.slow_network", target, str(delay_ms)]
    with server(command, folder / "slow.log", ready="Far away: ") as far:
        yield far


# ---- the person at the keys ----------------------------------------------------------------------


def press_keys(address: str, selectors: list[str], *, token: str, presses: int) -> list[float]:
    """Milliseconds from key press to the next pair on the screen."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise SystemExit("No Chromium was found (make system).")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        if token:
            context.add_cookies([{"name": COOKIE, "value": token, "url": address}])
        page = context.new_page()
        page.add_init_script(WATCH.replace("SELECTORS", json.dumps(selectors)))
        page.goto(f"{address}/label/" if token else address)
        first = json.dumps(selectors[0])
        _until(page, f"document.querySelector({first})?.textContent.includes('Question') === true")
        page.wait_for_timeout(2000)
        for n in range(presses):
            page.keyboard.press("2")
            _until(page, f"window.measured.length > {n}")
            page.wait_for_timeout(700)  # a very quick labeler
        found: list[float] = page.evaluate("window.measured")
        browser.close()
    return found[3:]


def _until(page, expression):
    """Playwright's own wait needs eval, which the page forbids."""
    end = time.monotonic() + 60
    while not page.evaluate(expression):
        if time.monotonic() > end:
            raise SystemExit(f"Waited too long: {expression}")
        page.wait_for_timeout(20)


def measure_keys(folder: Path, *, presses: int) -> list[dict[str, object]]:
    """Ours and the plain page, on loopback and with 150 ms of delay."""
    space = make_workspace(folder / "keys", pairs=2000, labelers=4, config="votes_per_pair = 1")
    with space.store() as store:
        tokens = sessions(store, labelers=4)
    rows: list[dict[str, object]] = []
    with our_server(space) as ours, plain_server(folder) as plain:
        for number, delay in enumerate((0, 150)):
            with far_away(ours, delay, folder) as address:
                mine = press_keys(address, OURS, token=tokens[number], presses=presses)
            with far_away(plain, delay, folder) as address:
                theirs = press_keys(address, PLAIN, token="", presses=presses // 2)
            for name, found in (("pairloop", mine), ("plain Gradio", theirs)):
                rows.append(
                    {"page": name, "delay_ms": delay, "n": len(found), **percentiles(found)}
                )
    return rows


# ---- many people at once -------------------------------------------------------------------------


async def labeler(
    http: aiohttp.ClientSession,
    address: str,
    token: str,
    *,
    ready: asyncio.Barrier,
    seconds: float,
    think: float,
    seed: int,
) -> tuple[list[float], list[str]]:
    """Judge until the time is up; milliseconds per judgment, and the acknowledged keys.

    The clock starts when everybody has their first cards.
    """
    chance, times, keys = random.Random(seed), [], []
    headers = {"Cookie": f"{COOKIE}={token}"}
    async with http.get(f"{address}/api/pairs?count=4", headers=headers) as answer:
        cards = [card["presentation"] for card in (await answer.json())["pairs"]]
    await ready.wait()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not cards:
            async with http.get(f"{address}/api/pairs?count=4", headers=headers) as answer:
                cards = [card["presentation"] for card in (await answer.json())["pairs"]]
            if not cards:
                break
        if think:
            await asyncio.sleep(chance.expovariate(1 / think))
        key = fresh_key()
        body = {
            "key": key,
            "presentation": cards.pop(),
            "choice": chance.choice(["left", "right", "tie"]),
            "seconds": 5.0,
        }
        began = time.perf_counter()
        if await _stored(http, f"{address}/api/judgments", body, headers):
            keys.append(key)
        times.append((time.perf_counter() - began) * 1000)
    return times, keys


async def _stored(
    http: aiohttp.ClientSession, url: str, body: dict[str, object], headers: dict[str, str]
) -> bool:
    """Send until it is answered, as the page does: the key makes that harmless."""
    while True:
        try:
            async with http.post(url, json=body, headers=headers) as answer:
                await answer.read()
                if answer.status < 500:
                    return answer.status == 200
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.05)


async def crowd(
    address: str, tokens: list[str], *, people: int, think: float, seconds: float
) -> tuple[list[float], list[str]]:
    ready = asyncio.Barrier(people)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        found = await asyncio.gather(
            *(
                labeler(http, address, tokens[i], ready=ready, seconds=seconds, think=think, seed=i)
                for i in range(people)
            )
        )
    return [t for times, _ in found for t in times], [k for _, keys in found for k in keys]


async def plain_crowd(address: str, *, people: int, seconds: float) -> list[float]:
    """The same on the plain page's endpoint: a vote and the next pair through Gradio's queue."""
    until = time.monotonic() + seconds

    async def one(http: aiohttp.ClientSession) -> list[float]:
        times = []
        while time.monotonic() < until:
            began = time.perf_counter()
            call = f"{address}/gradio_api/call/vote"
            async with http.post(call, json={"data": ["left", 0]}) as answer:
                event = (await answer.json())["event_id"]
            async with http.get(f"{call}/{event}") as answer:
                await answer.read()
            times.append((time.perf_counter() - began) * 1000)
        return times

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        found = await asyncio.gather(*(one(http) for _ in range(people)))
    return [t for times in found for t in times]


def measure_load(folder: Path) -> tuple[list[dict[str, object]], dict[str, int]]:
    """Judgments per second and their latency, by number of people; and what was stored of them."""
    space = make_workspace(
        folder / "load", pairs=20_000, labelers=max(PEOPLE), config="votes_per_pair = 2"
    )
    with space.store() as store:
        tokens = sessions(store, labelers=max(PEOPLE))
    rows: list[dict[str, object]] = []
    acknowledged: list[str] = []
    with our_server(space) as address:
        for think in (0.0, THINK_SECONDS):
            for people in PEOPLE:
                seconds = SECONDS if not think else 4 * THINK_SECONDS
                times, keys = asyncio.run(
                    crowd(address, tokens, people=people, think=think, seconds=seconds)
                )
                acknowledged += keys
                rows.append(
                    {
                        "page": "pairloop",
                        "people": people,
                        "think_s": think,
                        "per_second": len(times) / seconds,
                        **percentiles(times),
                    }
                )
                print(rows[-1], file=sys.stderr)
    with plain_server(folder) as address:
        for people in PEOPLE[:-1]:
            times = asyncio.run(plain_crowd(address, people=people, seconds=SECONDS))
            rate = len(times) / SECONDS
            row = {"page": "plain Gradio", "people": people, "think_s": 0.0, "per_second": rate}
            rows.append({**row, **percentiles(times)})
    with space.store() as store:
        events = [j.id for j in judging.judgment_events(store)]
    found = set(events)
    kept = {
        "acknowledged": len(acknowledged),
        "found": len(found & set(acknowledged)),
        "lost": len(set(acknowledged) - found),
        "doubled": len(events) - len(found),
    }
    return rows, kept


def table(rows: list[dict[str, object]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(names) + " |", "| " + " | ".join("---" for _ in names) + " |"]
    for row in rows:
        cells = (
            f"{v:.1f}" if isinstance(v, float) else str(v) for v in (row.get(n, "") for n in names)
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--keys", action="store_true", help="only the keys")
    parser.add_argument("--load", action="store_true", help="only the load")
    parser.add_argument("--presses", type=int, default=120)
    asked = parser.parse_args()
    everything = not (asked.keys or asked.load)
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before\n")
    with tempfile.TemporaryDirectory(prefix="pairloop-labeling-") as name:
        folder = Path(name)
        if asked.keys or everything:
            rows = measure_keys(folder, presses=asked.presses)
            print(f"Key press to the next pair on the screen, milliseconds\n\n{table(rows)}\n")
            for i in (0, 2):
                ours, theirs = float(str(rows[i]["p95"])), float(str(rows[i + 1]["p95"]))
                print(
                    f"At {rows[i]['delay_ms']} ms of delay: {theirs / ours:.1f} times quicker at p95."
                )
            print()
        if asked.load or everything:
            rows, kept = measure_load(folder)
            print(f"Judgments over HTTP, latency in milliseconds\n\n{table(rows)}\n")
            print(", ".join(f"{k} {v}" for k, v in kept.items()))


if __name__ == "__main__":
    main()
