"""Who is asked about which pair next. In memory, no clock and no database inside.

A pair is open to a labeler who has not judged its two answers while its votes and the pairs others
hold on lease together are fewer than the votes wanted. Higher priorities come first, then pairs
that have votes already, so that work in progress settles before new pairs are begun; among equals
the order is a seeded shuffle. Gold pairs and repeats are open to each labeler once.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from sortedcontainers import SortedList

from annotate.assign import Rule
from annotate.config import Distribution
from annotate.consensus import Word, votes_wanted
from annotate.queue_counts import Counted, Tally, counted, extra_votes
from storage.judgments import LastWord
from storage.records import IMPORTED_VOTES, Judgment, Pair, Purpose, Verdict

_ANYBODY = Rule()
Order = tuple[int, datetime, str]  # revision, when, id: of two words the greater is the later
Key = tuple[int, int, str, str]  # minus priority, minus votes, shuffle, pair id


class Vote(NamedTuple):
    """A judgment that counts, by its id."""

    pair_id: str
    labeler: str
    id: str


@dataclass(slots=True)
class _State:
    pair: Pair
    shuffle: str
    rule: Rule = _ANYBODY
    wanted: int = 0
    decided: bool = False  # adjudicated: no vote is asked for, whatever the votes say
    judged: dict[str, Verdict] = field(default_factory=dict)  # by labeler, present ones
    events: int = 0
    leases: dict[str, float] = field(default_factory=dict)  # labeler -> seconds until when
    place: Key | None = None  # in the order, while a vote may be wanted
    counted: Counted | None = None  # what it adds to the queue's counts

    def verdicts(self) -> list[Verdict]:
        return [v for v in self.judged.values() if v is not Verdict.SKIP]

    def held_by_others(self, labeler: str, now: float) -> int:
        return sum(1 for who, until in self.leases.items() if who != labeler and until > now)


class PairQueue:
    """Pairs, the votes they have and the leases people hold."""

    def __init__(self, config: Distribution, *, seed: int = 0) -> None:
        self._config = config
        self._seed = seed
        self._states: dict[str, _State] = {}
        self._order: SortedList = SortedList()  # keys of pairs that may want a vote
        self._undecided: dict[str, _State] = {}  # the same by pair id
        self._regular = 0
        self._repeats = 0
        self._tally = Tally()
        # By pair and labeler, withdrawals too. Of words from before the start that are somebody's
        # first on a pair only a shared store has more to say than the verdict.
        self._last: dict[tuple[str, str], Order] = {}
        self._ranks: dict[tuple[str, str], int] = {}  # pair, labeler -> number of the lease's row
        self._alike: defaultdict[tuple[str, str], list[str]] = defaultdict(list)  # pairs by answers
        self._twins: set[str] = set()  # pairs whose answers another pair has too
        self._done: defaultdict[str, set[str]] = defaultdict(set)  # labeler -> pairs judged
        self._held: defaultdict[str, dict[str, None]] = defaultdict(dict)  # labeler -> pairs leased
        self._seen: defaultdict[str, set[str]] = defaultdict(set)  # labeler -> votes they know of
        self._rules: Mapping[str, Rule] = {}

    def __len__(self) -> int:
        """How many pairs there are to label: training pairs and comparisons of policies."""
        return self._regular

    def add(self, pairs: Iterable[Pair], said: Iterable[LastWord] = ()) -> None:
        """Take in pairs; known ones are left as they are. said: what people said of the new ones."""
        new = []
        for pair in pairs:
            if pair.id in self._states or pair.strategy == IMPORTED_VOTES:
                continue
            shuffle = hashlib.sha256(f"{self._seed}\0{pair.id}".encode()).hexdigest()
            state = _State(pair, shuffle, rule=self._rules.get(pair.id, _ANYBODY))
            self._states[pair.id] = state
            alike = self._alike[pair.first, pair.second]
            alike.append(pair.id)
            if len(alike) > 1:
                self._twins.update(alike)
            self._repeats += pair.purpose is Purpose.REPEAT
            if is_regular(pair):
                self._regular += 1
                new.append(state)
        for word in said:
            state = self._states[word.pair_id]
            state.events += word.events
            if word.revision or word.withdrawn or word.id:
                self._last[word.pair_id, word.labeler] = word.revision, word.created_at, word.id
            if not word.withdrawn:
                state.judged[word.labeler] = word.verdict
                self._done[word.labeler].add(word.pair_id)
        for state in new:
            self._place(state)

    def knows(self, pair_id: str) -> bool:
        return pair_id in self._states

    def reconfigure(self, config: Distribution) -> None:
        """Count by other settings from now on; votes and leases stay."""
        self._config = config
        for state in self._states.values():
            if is_regular(state.pair):
                self._place(state)

    def set_rules(self, rules: Mapping[str, Rule]) -> None:
        """The assignments in force, by pair; pairs without one are for everybody."""
        self._rules = rules
        for state in self._states.values():
            rule = rules.get(state.pair.id, _ANYBODY)
            if rule != state.rule:
                state.rule = rule
                if is_regular(state.pair):
                    self._place(state)

    def pair(self, pair_id: str) -> Pair | None:
        state = self._states.get(pair_id)
        return state.pair if state else None

    def judged_by(self, labeler: str) -> Collection[str]:
        """The pairs a labeler has judged, skips too."""
        return self._done[labeler]

    def is_extra(self, judgment: Judgment) -> bool:
        """Whether a vote would be one more than was wanted: its lease had ended meanwhile."""
        state = self._states[judgment.pair_id]
        counts = judgment.verdict is not Verdict.SKIP and not judgment.withdrawn
        before = state.judged.get(judgment.labeler)
        already = before is not None and before is not Verdict.SKIP
        if not is_regular(state.pair) or not counts or already:
            return False
        return len(state.verdicts()) >= state.wanted

    def record(self, judgment: Judgment) -> bool:
        """Count a judgment (or a withdrawal) and end its labeler's lease.

        False where a later word of its labeler is known, which stands: another server stored it.
        """
        state = self._states[judgment.pair_id]
        state.events += 1
        who = judgment.labeler
        state.leases.pop(who, None)
        self._held[who].pop(judgment.pair_id, None)
        word, key = order_of(judgment), (judgment.pair_id, who)
        if word < self._last.get(key, word):
            return False
        self._last[key] = word
        if judgment.withdrawn:
            state.judged.pop(who, None)
            self._done[who].discard(judgment.pair_id)
        else:
            state.judged[who] = judgment.verdict
            self._done[who].add(judgment.pair_id)
        if is_regular(state.pair):
            self._place(state)
        return True

    def forget(self, judgment: Judgment, *, before: Judgment | None) -> bool:
        """Undo `record` of a judgment that could not be stored; its revision is not given again.

        False where a later word of its labeler came meanwhile, which stands.
        """
        state, key = self._states[judgment.pair_id], (judgment.pair_id, judgment.labeler)
        state.events -= 1
        if self._last[key] != order_of(judgment):
            return False
        _, when, said = order_of(before) if before else (0, datetime.min, "")  # noqa: DTZ901
        self._last[key] = judgment.revision, when, said
        state.judged.pop(judgment.labeler, None)
        self._done[judgment.labeler].discard(judgment.pair_id)
        if before is not None:
            state.judged[judgment.labeler] = before.verdict
            self._done[judgment.labeler].add(judgment.pair_id)
        if is_regular(state.pair):
            self._place(state)
        return True

    def decide(self, pair_id: str, *, decided: bool) -> None:
        """An adjudicator has decided the pair, or it is up to its votes again."""
        state = self._states[pair_id]
        state.decided = decided
        self._place(state)

    def show_votes(self, pair_id: str, labeler: str) -> None:
        """Somebody sees the votes on a pair: from now on they are no blind judge of its answers."""
        self._seen[labeler].add(pair_id)

    def has_seen_votes(self, pair_id: str, labeler: str) -> bool:
        return pair_id in self._seen[labeler]

    def next_revision(self, pair_id: str, labeler: str) -> int:
        """One more than the labeler's last word on the pair."""
        last = self._last.get((pair_id, labeler))
        if last is None:
            return int(labeler in self._states[pair_id].judged)
        return last[0] + 1

    def rank(self, pair_id: str, labeler: str, number: int) -> None:
        """The number of the row that tells other servers of a lease."""
        self._ranks[pair_id, labeler] = number

    def is_outrun(self, pair_id: str, labeler: str, *, now: float) -> bool:
        """Whether others took the pair before this labeler's lease was stored, and are enough."""
        state = self._states[pair_id]
        if not is_regular(state.pair):
            return False
        own = self._ranks.get((pair_id, labeler), 0)
        before = sum(
            1
            for who, until in state.leases.items()
            if who != labeler and until > now and self._ranks.get((pair_id, who), own) < own
        )
        return len(state.verdicts()) + before >= state.wanted

    def drop(self, pair_id: str, labeler: str) -> None:
        """End a lease as if it had never been."""
        self._states[pair_id].leases.pop(labeler, None)
        self._held[labeler].pop(pair_id, None)

    def extra_of(self, pair_id: str) -> list[Vote]:
        """The votes beyond those that were wanted when they came, by the time they were given.

        On a shared store: elsewhere it is not known when words from before the start were given.
        """
        state = self._states[pair_id]
        if not is_regular(state.pair):
            return []
        counts = [who for who, verdict in state.judged.items() if verdict is not Verdict.SKIP]
        given = sorted((self._last[pair_id, who][1:], who) for who in counts)
        verdicts = [state.judged[who] for _, who in given]
        extra = extra_votes(state.pair, verdicts, self._config, wanted=state.wanted)
        return [Vote(pair_id, who, said) for (_, said), who in given[len(given) - extra :]]

    def present(self, pair_id: str) -> tuple[list[Word], int]:
        """A pair's present judgments and how many events led there."""
        state = self._states[pair_id]
        return [Word(who, verdict) for who, verdict in state.judged.items()], state.events

    def renew(self, labeler: str, pair_ids: Iterable[str], *, now: float, seconds: float) -> None:
        """Hold what the browser still has for some seconds more."""
        for pair_id in pair_ids:
            if (state := self._states.get(pair_id)) and labeler in state.leases:
                state.leases[labeler] = now + seconds

    def release(self, labeler: str, pair_ids: Iterable[str], *, now: float) -> None:
        """Let others have what the browser held; the labeler gets it back first if it is free."""
        for pair_id in pair_ids:
            if (state := self._states.get(pair_id)) and labeler in state.leases:
                state.leases[labeler] = now

    def lease(self, pair_id: str, labeler: str, *, now: float, seconds: float) -> None:
        """Hold a pair for a labeler."""
        self._states[pair_id].leases[labeler] = now + seconds
        self._held[labeler][pair_id] = None

    def is_held(self, pair_id: str, labeler: str) -> bool:
        """Whether the labeler was given the pair here, for however long."""
        return pair_id in self._held[labeler]

    def held(
        self, identity: frozenset[str], labeler: str, *, have: Collection[str], now: float
    ) -> Iterator[Pair]:
        """What the labeler was given before and has not judged, beyond `have`, if still open."""
        for pair_id in list(self._held[labeler]):
            state = self._states[pair_id]
            if pair_id in have:
                continue
            if self._open(state, labeler, identity, now):
                yield state.pair
            else:
                self._held[labeler].pop(pair_id)
                state.leases.pop(labeler, None)

    def regular(
        self, identity: frozenset[str], labeler: str, *, have: Collection[str], now: float
    ) -> Iterator[Pair]:
        """Open pairs beyond `have`, the most wanted first. Lease one before asking on."""
        for key in self._order:
            state = self._states[key[3]]
            if key[3] not in have and self._open(state, labeler, identity, now):
                yield state.pair

    def front(self, count: int) -> list[Pair]:
        """The pairs at the head of the order, open or on lease."""
        return [self._states[key[3]].pair for key in self._order.islice(0, count)]

    def is_new_to(self, pair_id: str, labeler: str) -> bool:
        """Whether the labeler has not seen the two answers, in this pair or another of them."""
        pair = self._states[pair_id].pair
        alike = self._alike[pair.first, pair.second]
        if any(i in self._done[labeler] or i in self._seen[labeler] for i in alike):
            return False
        return not any(i in self._held[labeler] for i in alike if i != pair_id)

    def open_to(self, labeler: str, identity: frozenset[str], *, now: float) -> int:
        """How many pairs the labeler could still judge."""
        undecided, done = self._undecided, self._done[labeler] | self._seen[labeler]
        closed = undecided.keys() & done
        for pair_id in self._twins & done:
            pair = self._states[pair_id].pair
            closed |= undecided.keys() & self._alike[pair.first, pair.second]
        for others in self._held.values():
            for pair_id in others:
                if (state := undecided.get(pair_id)) and self._full(state, labeler, now):
                    closed.add(pair_id)
        for pair_id, rule in self._rules.items():
            if rule.people and pair_id in undecided and not rule.allows(identity):
                closed.add(pair_id)
        return len(undecided) - len(closed)

    def counts(self, *, now: float) -> dict[str, int]:
        """How many pairs are where, and what the votes were worth."""
        leased = {i for pairs in self._held.values() for i in pairs}
        held = (self._states[i] for i in leased if is_regular(self._states[i].pair))
        return self._tally.counts() | {
            "held": sum(any(until > now for until in state.leases.values()) for state in held),
            "repeats": self._repeats,
        }

    def glance(self, *, now: float) -> dict[str, int]:
        """Pairs that want a vote, those of them on lease, and people with leases. Never looks at
        every pair: what it reads are leases.
        """
        leased, people = set(), set()
        for who, pair_ids in self._held.items():
            for pair_id in pair_ids:
                if self._states[pair_id].leases.get(who, 0.0) > now:
                    people.add(who)
                    leased.add(pair_id)
        leased &= self._undecided.keys()
        return {"open": len(self._undecided), "leased": len(leased), "labelers": len(people)}

    def _place(self, state: _State) -> None:
        """Put a pair where it belongs in the order, or out of it when it needs no vote."""
        if state.place is not None:
            self._order.remove(state.place)
            state.place = None
            self._undecided.pop(state.pair.id, None)
        verdicts = state.verdicts()
        state.wanted = votes_wanted(verdicts, state.pair, self._config)
        if state.decided:
            state.wanted = min(state.wanted, len(verdicts))
        if len(verdicts) < state.wanted:
            state.place = (-state.rule.priority, -len(verdicts), state.shuffle, state.pair.id)
            self._order.add(state.place)
            self._undecided[state.pair.id] = state
        now = counted(
            state.pair, verdicts, self._config, wanted=state.wanted, decided=state.decided
        )
        self._tally.move(state.counted, now)
        state.counted = now

    def _full(self, state: _State, labeler: str, now: float) -> bool:
        return len(state.verdicts()) + state.held_by_others(labeler, now) >= state.wanted

    def _open(self, state: _State, labeler: str, identity: frozenset[str], now: float) -> bool:
        if labeler in state.judged or not state.rule.allows(identity):
            return False
        if not is_regular(state.pair):
            return True
        if not self.is_new_to(state.pair.id, labeler):
            return False
        return not self._full(state, labeler, now)


def order_of(judgment: Judgment) -> Order:
    """Of two words of one labeler on a pair the greater one counts."""
    return judgment.revision, judgment.created_at, judgment.id


def is_regular(pair: Pair) -> bool:
    """Whether a pair's votes are what the project is for: not gold, not a repeat, not imported."""
    return pair.purpose in (Purpose.TRAIN, Purpose.EVALUATION) and pair.strategy != IMPORTED_VOTES
