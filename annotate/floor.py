"""Everything the desk knows in memory: pairs, people, gold, settings. Not thread-safe by itself.

It is built from the store at the start and looks there about once a second for what commands and
leads appended meanwhile.
"""

import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from statistics import median

from annotate import assign
from annotate.accuracy import project_accuracy
from annotate.cards import Progress, Standing
from annotate.config import AnnotateConfig
from annotate.consensus import consensus_of, settle
from annotate.judgment_keys import JudgmentKeys
from annotate.own_agreement import own_agreement
from annotate.person import Person
from annotate.queue import Order, PairQueue, is_regular, order_of
from annotate.settings import in_force
from annotate.stock import Stock
from storage import adjudications as adjudicating
from storage import judgments as judging
from storage import pairs as pairing
from storage import team
from storage.adjudication_records import Adjudication
from storage.errors import ConflictError
from storage.records import Consensus, Judgment, Pair, Presentation
from storage.store import Store, utc_now
from storage.team_records import Gold, GoldUse, LabelerSettings

LOOK_SECONDS = 1.0  # how often the store is asked for news


class Floor:
    """The state behind the desk; the desk holds its lock around every call."""

    def __init__(self, store: Store, config: AnnotateConfig, *, below: int) -> None:
        """below: the row of the first judgment that is counted later."""
        self._store = store
        self._file_config = config
        self.config = in_force(store, config)
        self.guideline = ""
        # Servers that shared an order too would all reach for the same pairs.
        own = secrets.randbits(32) if store.shared else 0
        self.queue = PairQueue(self.config, seed=config.seed + own)
        self.gold: Mapping[str, Gold] = {}
        self._gold_ids: dict[GoldUse, list[str]] = {}
        self._settings: Mapping[str, LabelerSettings] = {}
        self._people: dict[str, Person] = {}
        self._keys = JudgmentKeys(store, below=below)
        self._settled: set[str] = set()
        self._decided = adjudicating.standing(store)  # by pair
        self.stock = Stock(self.queue)
        self._seen_rows = -1
        self._seen_team: tuple[int, ...] = ()
        self._looked = 0.0
        self._accuracy = project_accuracy(store, self.config)
        settle(store, self.config, accuracy=self._accuracy)
        self.queue.add(pairing.pairs(store), judging.last_words(store, below=below))
        self.look()
        for pair_id in self._decided:
            self.queue.decide(pair_id, decided=True)
        for pair_id, who in adjudicating.own_views(store):
            self.queue.show_votes(pair_id, who)
        self._read_settled()

    # ---- news from the store ------------------------------------------------------------------

    def has_news(self, *, at_once: bool = False) -> bool:
        """Whether to `look`; asks the store about once a second, or at_once. Needs no lock."""
        now = time.monotonic()
        if not at_once and now - self._looked < LOOK_SECONDS:
            return False
        self._looked = now
        return self._versions() != (self._seen_rows, self._seen_team)

    def _versions(self) -> tuple[int, tuple[int, ...]]:
        return pairing.pair_rows(self._store), team.team_versions(self._store)

    def look(self) -> None:
        """Take in pairs, settings, gold and assignments appended since the last look."""
        self._looked = time.monotonic()
        rows, steering = self._versions()
        if rows != self._seen_rows:
            self.queue.add(pairing.pairs_beyond(self._store, self.queue.knows))
        if steering != self._seen_team:
            self._read_team()
        if (rows, steering) != (self._seen_rows, self._seen_team):
            self._read_rules()
        self._seen_rows, self._seen_team = rows, steering

    def _read_team(self) -> None:
        self.gold = team.gold_by_pair(self._store)
        self._gold_ids = {
            use: [g.pair_id for g in self.gold.values() if g.active and g.use is use]
            for use in GoldUse
        }
        self._settings = team.labeler_settings(self._store)
        versions = team.guidelines(self._store)
        if versions:
            self.guideline = versions[0].id
        config = in_force(self._store, self._file_config)
        if config != self.config:
            self.config = config
            self.queue.reconfigure(config)
            self._accuracy = project_accuracy(self._store, config)
            settle(self._store, config, accuracy=self._accuracy)
            self._read_settled()

    def _read_rules(self) -> None:
        active = [a for a in team.assignments(self._store) if a.active]
        tags = sorted({a.tag for a in active if a.tag})
        everything = [p.id for p in pairing.pairs(self._store)] if active else []
        by_tag = team.pairs_by_tag(self._store, tags) if tags else {}
        self.queue.set_rules(assign.rules_of(active, pair_ids=everything, pairs_of_tag=by_tag))

    def _read_settled(self) -> None:
        self._settled = {i for i in pairing.settled_pairs(self._store) if self.queue.knows(i)}

    # ---- people -------------------------------------------------------------------------------

    def person(self, name: str) -> Person:
        """A labeler with everything they were shown and said."""
        assert name in self._people, "whoever comes to the desk is introduced first"
        return self._people[name]

    def knows(self, name: str) -> bool:
        """Whether this labeler has been introduced."""
        return name in self._people

    def introduce(self, name: str, shown: Sequence[Presentation], said: Sequence[Judgment]) -> None:
        """Take in what a labeler was shown and said before this server started."""
        if name in self._people:
            return
        person = self._people[name] = Person(name)
        for presentation in shown:
            person.show(presentation)
        last: dict[str, Order] = {}
        for judgment in said:
            pair_id, word = judgment.pair_id, order_of(judgment)
            if self.queue.knows(pair_id) and word >= last.get(pair_id, word):
                last[pair_id] = word
                self._remember(judgment, person)

    def known(self, key: str, labeler: str) -> str | None:
        """The pair of the judgment that already has this key, None for a new key."""
        who, pair_id = self._keys.owner(key) or (labeler, None)
        if who != labeler:
            raise ConflictError(
                "This request came with the key of another person's request. Reload the page."
            )
        return pair_id

    def has(self, key: str) -> bool:
        """Whether a judgment with this key counts already."""
        return self._keys.owner(key) is not None

    def remember(self, shown: Presentation) -> None:
        """Somebody was shown a pair by another server; who is new here is read in whole later."""
        if self.knows(shown.labeler):
            self._people[shown.labeler].show(shown)

    def count(self, judgment: Judgment) -> None:
        """Take a judgment into account."""
        self._keys.add(judgment)
        if self.queue.record(judgment) and self.knows(judgment.labeler):
            self._remember(judgment, self._people[judgment.labeler])

    def _remember(self, judgment: Judgment, person: Person) -> None:
        person.drop(judgment.pair_id)
        if judgment.withdrawn:
            return
        person.say(judgment)
        person.graduated |= is_regular(self.pair(judgment.pair_id))
        person.pace.append(judgment.seconds)

    def uncount(self, judgment: Judgment, *, before: Judgment | None) -> None:
        """Forget a judgment that could not be stored."""
        self._keys.drop(judgment)
        if not self.queue.forget(judgment, before=before):
            return
        person = self._people[judgment.labeler]
        person.drop(judgment.pair_id)
        if judgment.seconds in person.pace:
            person.pace.remove(judgment.seconds)
        if before is not None:
            person.say(before)

    def standing(self, person: Person) -> Standing:
        """Whether this person may work now; what they have in the browser they may still judge."""
        settings = self._settings.get(person.name)
        if settings is not None and settings.paused:
            return Standing.PAUSED
        if self._limit_left(person) == 0:
            return Standing.LIMIT
        wanted = self.gold_ids(GoldUse.QUALIFICATION)
        let_in = person.graduated or (settings is not None and settings.qualified)
        if not wanted or let_in:
            return Standing.OPEN
        if any(pair_id not in person.mine for pair_id in wanted):
            return Standing.QUALIFYING
        right = sum(person.mine[i].verdict is self.gold[i].verdict for i in wanted)
        passed = right / len(wanted) >= self.config.qualification_pass
        return Standing.OPEN if passed else Standing.NOT_QUALIFIED

    def _limit_left(self, person: Person) -> int | None:
        """Judgments still allowed, None without a limit."""
        settings = self._settings.get(person.name)
        return person.limit_left(settings, self.config.daily_limit, now=utc_now())

    def progress(self, person: Person) -> Progress:
        """How far this person and the project are."""
        left = self.queue.open_to(person.name, self._identity(person), now=time.monotonic())
        limit_left = self._limit_left(person)
        coming = left if limit_left is None else min(left, limit_left)
        pace = median(person.pace) if person.pace else None
        return Progress(
            judged=person.judged(),
            skipped=person.skipped,
            left=left,
            settled=len(self._settled),
            pairs=len(self.queue),
            today=person.judged_today(utc_now()),
            seconds_left=None if pace is None else pace * coming,
            limit_left=limit_left,
            agreement=own_agreement(person, self.queue) if self.config.show_own_agreement else None,
        )

    def _identity(self, person: Person) -> frozenset[str]:
        return assign.identity_of(person.name, self._settings)

    # ---- pairs --------------------------------------------------------------------------------

    def pair(self, pair_id: str) -> Pair:
        found = self.queue.pair(pair_id)
        assert found is not None, "a pair that was shown or judged is in the queue"
        return found

    def gold_ids(self, use: GoldUse) -> Sequence[str]:
        """The active gold pairs of one use."""
        return self._gold_ids.get(use, ())

    def teaches(self, pair_id: str) -> bool:
        """Whether a pair is an active qualification pair, which gives feedback."""
        return pair_id in self.gold_ids(GoldUse.QUALIFICATION)

    def renew(self, person: Person, held: Mapping[str, str], *, now: float) -> None:
        """Go on holding what the browser has."""
        seconds = person.lease_seconds(self.config.lease_seconds)
        self.queue.renew(person.name, held.values(), now=now, seconds=seconds)

    def lease(self, person: Person, pairs: Sequence[Pair], *, now: float) -> None:
        """Hold pairs for this person."""
        seconds = person.lease_seconds(self.config.lease_seconds)
        for pair in pairs:
            self.queue.lease(pair.id, person.name, now=now, seconds=seconds)

    def take(
        self,
        person: Person,
        standing: Standing,
        *,
        count: int,
        have: Collection[str],
        now: float,
    ) -> list[Pair]:
        """Lease up to `count` pairs to a person, beyond those in `have` (pair ids)."""
        if standing is Standing.QUALIFYING:
            wanted = [i for i in self.gold_ids(GoldUse.QUALIFICATION) if i not in person.mine]
            pairs = [self.pair(i) for i in wanted if i not in have][:count]
            self.lease(person, pairs, now=now)
            return pairs
        if standing is not Standing.OPEN:
            return []
        limit_left = self._limit_left(person)
        if limit_left is not None:
            count = min(count, limit_left - sum(1 for i in have if i not in person.mine))
        identity, name = self._identity(person), person.name
        pairs = list(islice(self.queue.held(identity, name, have=have, now=now), max(0, count)))
        self.lease(person, pairs, now=now)
        shown = len(person.shown) + sum(p.id not in person.shown for p in pairs)
        while len(pairs) < count:
            without = {*have, *(p.id for p in pairs)}
            regular = next(self.queue.regular(identity, name, have=without, now=now), None)
            if regular is None:
                break
            from_stock = self.stock.draw(person, shown, config=self.config, gold=self._gold_ids)
            drawn = from_stock or regular
            if drawn.id in without:
                drawn = regular
            self.lease(person, [drawn], now=now)
            pairs.append(drawn)
            shown += drawn.id not in person.shown
        return pairs

    def peek(self, count: int) -> list[Pair]:
        """The pairs that will be asked for next, whoever comes."""
        return self.queue.front(count)

    def adjudicate(self, adjudication: Adjudication) -> None:
        """Take a decision into account, or that it was withdrawn."""
        pair_id = adjudication.pair_id
        if adjudication.withdrawn:
            self._decided.pop(pair_id, None)
        else:
            self._decided[pair_id] = adjudication
        self.queue.decide(pair_id, decided=not adjudication.withdrawn)

    def decide(self, decided: Mapping[str, Adjudication]) -> None:
        """Take in which pairs are decided, wherever that was."""
        for pair_id in {*decided, *self._decided}:
            self.queue.decide(pair_id, decided=pair_id in decided)
        self._decided = dict(decided)

    def consensus(self, pair: Pair) -> Consensus:
        """What the pair's present judgments, or the decision on it, add up to."""
        current, events = self.queue.present(pair.id)
        return consensus_of(
            pair,
            current,
            events=events,
            config=self.config,
            now=utc_now(),
            adjudication=self._decided.get(pair.id),
            accuracy=self._accuracy,
        )

    def mark_settled(self, consensus: Consensus) -> bool:
        """Keep the number of settled pairs; True if this one has just settled."""
        if not consensus.settled:
            # One that was stored late does not undo what judgments after it came to.
            if consensus.events == self.queue.present(consensus.pair_id)[1]:
                self._settled.discard(consensus.pair_id)
            return False
        newly = consensus.pair_id not in self._settled
        self._settled.add(consensus.pair_id)
        return newly

    def counts(self, *, now: float) -> dict[str, int]:
        """Pairs by state, and gold and repeats."""
        gold = sum(map(len, self._gold_ids.values()))
        return self.queue.counts(now=now) | {"gold": gold}

    def glance(self, *, now: float) -> dict[str, int]:
        """What a scrape counts: pairs, open, leased, settled; and labelers who hold some."""
        known = {"pairs": len(self.queue), "settled": len(self._settled)}
        return self.queue.glance(now=now) | known
