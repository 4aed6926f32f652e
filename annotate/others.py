"""What other labeling servers on the same store do meanwhile, taken into this one's memory.

Each server keeps its own pairs, votes and leases. Judgments and showings are rows, numbered in the
order they were stored; a showing is a lease as the others see it. Whoever hands a pair out stores the
showing first and then looks: if others were quicker, the pair is not handed out after all, and a row
says that this lease is over.
Two people may still vote where one vote was wanted, when one of them had the pair for longer than its
lease; such votes count, and are noted in the trail.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from annotate.consensus import SETTLED
from annotate.floor import LOOK_SECONDS, Floor
from annotate.person import Person
from annotate.queue import Vote
from storage import adjudications as adjudicating
from storage import news, team
from storage import pairs as pairing
from storage.adjudication_records import Adjudication
from storage.records import Consensus, Judgment, Pair, Presentation
from storage.store import Store, utc_now

_STEERING = (
    "pair_rows",
    "gold_rows",
    "labeler_settings_rows",
    "assignment_rows",
    "setting_rows",
    "guideline_rows",
)
_WORDS = ("judgment_rows", "presentation_rows")
_DECISIONS = ("adjudication_rows", "own_view_rows")


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What was read, still to be taken in."""

    sizes: dict[str, int]
    steering: bool  # pairs, settings, gold or assignments changed
    judgments: Sequence[tuple[int, Judgment]]
    shown: Sequence[tuple[int, Presentation]]
    decided: dict[str, Adjudication] | None  # None: as before
    seen: Sequence[tuple[str, str]]  # pair, adjudicator who has given their view


class Others:
    """One per desk on a shared store. `read` and `mend` ask the store; `take` needs the desk's lock."""

    def __init__(self, store: Store, floor: Floor, sizes: dict[str, int]) -> None:
        """sizes: of the tables before the floor was read."""
        self._store, self._floor = store, floor
        self._sizes = sizes
        self._last = {table: sizes[table] - 1 for table in _WORDS}  # rows taken in
        self._began = 0.0
        self._mine: set[str] = set()  # judgments that came in here
        self._noted: set[str] = set()
        self._doubted: set[str] = set()  # pairs whose consensus may lack a vote of elsewhere
        lease = timedelta(seconds=floor.config.lease_seconds)
        given = news.presentations_after(store, -1, since=utc_now() - lease)
        self._lease([(row, p) for row, p in given if row <= self._last["presentation_rows"]])

    @property
    def below(self) -> int:
        """The row of the first judgment that is not taken in yet."""
        return self._last["judgment_rows"] + 1

    def look(self, lock: threading.Lock, *, asked: float, at_once: bool) -> None:
        """Take in what is new, if it is time; `lock` is the desk's."""
        if not self.due(asked, at_once=at_once):
            return
        with lock:
            standing, extra = self.standing()
        self.mend(standing, extra)  # of an earlier look: a vote's own server is quicker
        found = self.read()
        if found is not None:
            with lock:
                self.take(found)

    def due(self, asked: float, *, at_once: bool) -> bool:
        """Whether to look; at_once is served by any look that began after it was asked for."""
        return self._began < asked if at_once else asked - self._began >= LOOK_SECONDS

    def read(self) -> News | None:
        """What is new in the store, None for nothing."""
        self._began = time.monotonic()
        sizes = self._store.sizes()
        grown = {table for table, rows in sizes.items() if rows != self._sizes.get(table)}
        if not grown & {*_STEERING, *_WORDS, *_DECISIONS}:
            return None
        words, shown = self._last["judgment_rows"], self._last["presentation_rows"]
        decisions = bool(grown & {*_DECISIONS})
        return News(
            sizes=sizes,
            steering=bool(grown & {*_STEERING}),
            judgments=news.judgments_after(self._store, words) if "judgment_rows" in grown else [],
            shown=(
                news.presentations_after(self._store, shown, since=datetime.min)  # noqa: DTZ901
                if "presentation_rows" in grown
                else []
            ),
            decided=adjudicating.standing(self._store) if decisions else None,
            seen=list(adjudicating.own_views(self._store)) if decisions else [],
        )

    def take(self, found: News) -> None:
        """Take it in."""
        floor = self._floor
        if found.steering:
            floor.look()
        named = {j.pair_id for _, j in found.judgments} | {p.pair_id for _, p in found.shown}
        if any(not floor.queue.knows(pair_id) for pair_id in named):
            # Repeats that another server made.
            floor.queue.add(pairing.pairs_beyond(self._store, floor.queue.knows))
        for row, judgment in found.judgments:
            self._last["judgment_rows"] = max(row, self._last["judgment_rows"])
            if not floor.has(judgment.id):
                floor.count(judgment)
                self._doubted.add(judgment.pair_id)
        self._lease(found.shown)
        for row, _ in found.shown:
            self._last["presentation_rows"] = max(row, self._last["presentation_rows"])
        if found.decided is not None:
            floor.decide(found.decided)
        for pair_id, who in found.seen:
            floor.queue.show_votes(pair_id, who)
        self._sizes = found.sizes

    def mine(self, judgment: Judgment, *, noted: bool) -> None:
        """Remember what came in here, and whether the trail says already that it was one too many."""
        self._mine.add(judgment.id)
        if noted:
            self._noted.add(judgment.id)

    def standing(self) -> tuple[list[Consensus], list[Vote]]:
        """What the pairs that others voted on come to now, and votes of here that were too many."""
        floor, now = self._floor, []
        extra: list[Vote] = []
        for pair_id in self._doubted:
            pair = floor.pair(pair_id)
            for vote in floor.queue.extra_of(pair_id):
                if vote.id in self._mine and vote.id not in self._noted:
                    self._noted.add(vote.id)
                    extra.append(vote)
            if pair.purpose in SETTLED:
                now.append(floor.consensus(pair))
                floor.mark_settled(now[-1])
        self._doubted.clear()
        return now, extra

    def mend(self, standing: Sequence[Consensus], extra: Sequence[Vote]) -> None:
        """Store a consensus that no server could make alone, and note the votes too many."""
        if standing:
            known = pairing.consensus_of_pairs(self._store, [c.pair_id for c in standing])
            events = {pair_id: c.events for pair_id, c in known.items()}
            self._store.append([c for c in standing if events.get(c.pair_id, 0) < c.events])
        for vote in extra:
            team.note(self._store, actor=vote.labeler, action="extra vote", subject=vote.pair_id)

    def renewed(self, shown: Sequence[Presentation]) -> list[Presentation]:
        """The same showings, to be stored as leases that begin now."""
        now = utc_now()
        return [replace(p, created_at=max(now, p.created_at)) for p in shown]

    def ended(self, shown: Sequence[Presentation]) -> list[Presentation]:
        """The same showings, to be stored as leases that are over."""
        before = utc_now() - timedelta(seconds=self._floor.config.lease_seconds)
        return [replace(p, created_at=before) for p in shown]

    def outrun(self, person: Person, pairs: Sequence[Pair]) -> set[str]:
        """Those of the pairs that others were quicker to take; this person's leases on them end."""
        queue, now = self._floor.queue, time.monotonic()
        lost = {p.id for p in pairs if queue.is_outrun(p.id, person.name, now=now)}
        for pair_id in lost:
            queue.drop(pair_id, person.name)
        return lost

    def _lease(self, shown: Sequence[tuple[int, Presentation]]) -> None:
        floor, now = self._floor, time.monotonic()
        for row, presentation in shown:
            pair_id, who = presentation.pair_id, presentation.labeler
            if not floor.queue.knows(pair_id):
                continue  # its votes were imported; nobody is asked about it
            floor.remember(presentation)
            floor.queue.rank(pair_id, who, row)
            age = (utc_now() - presentation.created_at).total_seconds()
            left = floor.config.lease_seconds - max(0.0, age)
            if left <= 0:
                floor.queue.drop(pair_id, who)
            known = pair_id in floor.queue.judged_by(who) or floor.queue.is_held(pair_id, who)
            if left > 0 and not known:
                floor.queue.lease(pair_id, who, now=now, seconds=left)
