"""Labelers over HTTP who keep what they decided until it is acknowledged, as the page does.

Each has an outbox of its own: a decision goes in before it is sent, is sent again with the same key
after a lost connection, a 5xx or a time-out, and leaves when the server acknowledged or refused it.
What was acknowledged is written down on this side only; `compare` looks for it in the store.
"""

import asyncio
import random
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field, fields

import aiohttp

from benchmarks.labeling_workspace import fresh_key
from storage import judgments as judging
from storage.store import Store

COOKIE = "pairloop_session"
HEARTBEAT_SECONDS = 20.0
_ANSWER_SECONDS = 20.0  # the page's own time-out


@dataclass(slots=True)
class Decision:
    """What one labeler said of one presentation."""

    labeler: str
    presentation: str
    choice: str


@dataclass(slots=True)
class Diary:
    """The crowd's own side of things."""

    sent: dict[str, Decision] = field(default_factory=dict)  # by key, in order
    acknowledged: dict[str, Decision] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)  # by key: what the server said
    later: Counter[str] = field(default_factory=Counter)  # 5xx, by what the server said
    lost_connections: int = 0
    milliseconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The diary beside the store."""

    acknowledged: int
    found: int
    lost: int  # acknowledged and not in the store
    doubled: int  # judgments in the store more than once, or that nobody made
    wrong: int  # pairs whose present judgment is not the labeler's last acknowledged one
    refused: int

    def __add__(self, other: "Found") -> "Found":
        return Found(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        )


def compare(
    store: Store, diary: Diary, *, acknowledged: dict[str, Decision] | None = None
) -> Found:
    """Look for everything acknowledged (by now, or in `acknowledged`) in the store."""
    told = diary.acknowledged if acknowledged is None else acknowledged
    events = judging.judgment_events(store)
    ids = [event.id for event in events]
    present = {j.presentation_id: j.id for j in judging.judgments(store)}
    wrong = 0
    if acknowledged is None:
        last = {d.presentation: key for key, d in diary.acknowledged.items()}
        wrong = sum(present.get(presentation) != key for presentation, key in last.items())
    return Found(
        acknowledged=len(told),
        found=len(told.keys() & set(ids)),
        lost=len(told.keys() - set(ids)),
        doubled=len(ids) - len(set(ids)) + len(set(ids) - diary.sent.keys()),
        wrong=wrong,
        refused=len(diary.refused),
    )


class Crowd:
    """Labelers l0, l1, ... at work in a thread of their own until `finish`."""

    def __init__(
        self,
        address: str,
        tokens: list[str],
        *,
        seed: int,
        think: float = 0.0,
        rationale_chars: int = 0,
    ) -> None:
        self.diary = Diary()
        self._address = address
        self._tokens = tokens
        self._seed = seed
        self._think = think
        self._rationale = "x" * rationale_chars
        self._closing = threading.Event()
        self._give_up = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self, *, seconds: float = 60.0) -> Diary:
        """No new decisions; send what the outboxes hold, then go home."""
        self._closing.set()
        self._thread.join(timeout=seconds)
        self._give_up = True
        self._thread.join(timeout=_ANSWER_SECONDS + 5)
        assert not self._thread.is_alive(), "the crowd does not go home"
        return self.diary

    async def _work(self) -> None:
        limit = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=limit) as http:
            await asyncio.gather(*(self._labeler(http, n) for n in range(len(self._tokens))))

    async def _labeler(self, http: aiohttp.ClientSession, number: int) -> None:
        chance, name = random.Random(f"{self._seed}/{number}"), f"l{number}"
        headers = {"Cookie": f"{COOKIE}={self._tokens[number]}"}
        cards: list[str] = []
        mine: list[str] = []
        if self._think:
            await asyncio.sleep(chance.uniform(0, self._think))
        looked = time.monotonic()
        while not self._closing.is_set():
            if not cards:
                path = "/api/pairs?count=4"
                answer = await self._once(http, "GET /api/pairs", path, headers)
                cards = [card["presentation"] for card in (answer or {}).get("pairs", [])]
                if not cards:
                    await asyncio.sleep(0.2 + self._think)
                    continue
            if self._think:
                await asyncio.sleep(chance.expovariate(1 / self._think))
            # Now and then somebody changes their mind on a pair of a while ago.
            again = mine and chance.random() < 0.05
            shown = chance.choice(mine) if again else cards.pop(0)
            decision = Decision(name, shown, chance.choice(["left", "right", "tie"]))
            if await self._deliver(http, decision, headers) and not again:
                mine.append(shown)
            if time.monotonic() - looked > HEARTBEAT_SECONDS:
                looked = time.monotonic()
                have = {"have": cards}
                await self._once(http, "POST /api/heartbeat", "/api/heartbeat", headers, have)

    async def _deliver(
        self, http: aiohttp.ClientSession, decision: Decision, headers: dict[str, str]
    ) -> bool:
        """Send until it is answered for good; whether it was stored."""
        key = fresh_key()
        self.diary.sent[key] = decision
        body = {
            "key": key,
            "presentation": decision.presentation,
            "choice": decision.choice,
            "seconds": 5.0,
            "rationale": self._rationale,
        }
        while not self._give_up:
            began = time.perf_counter()
            try:
                url = f"{self._address}/api/judgments"
                async with http.post(url, json=body, headers=headers) as answer:
                    text = await answer.text()
                    self._took("POST /api/judgments", began)
                    if answer.status == 200:
                        self.diary.acknowledged[key] = decision
                        return True
                    if answer.status < 500:
                        self.diary.refused[key] = f"{answer.status} {text}"
                        return False
                    self.diary.later[f"{answer.status} {text[:300]}"] += 1
            except (aiohttp.ClientError, TimeoutError):
                self.diary.lost_connections += 1
            await asyncio.sleep(0.2)
        return False

    async def _once(
        self,
        http: aiohttp.ClientSession,
        route: str,
        path: str,
        headers: dict[str, str],
        body: dict[str, object] | None = None,
    ) -> dict | None:
        began = time.perf_counter()
        method = "GET" if body is None else "POST"
        try:
            async with http.request(
                method, f"{self._address}{path}", json=body, headers=headers
            ) as answer:
                found = await answer.json()
                self._took(route, began)
                return found if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            self.diary.lost_connections += 1
            return None

    def _took(self, route: str, began: float) -> None:
        self.diary.milliseconds[route].append((time.perf_counter() - began) * 1000)
