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

from sortedcontainers import SortedList

from annotate.assign import Rule
from annotate.config import Distribution
from annotate.consensus import majority, votes_wanted
from storage.records import IMPORTED_VOTES, Judgment, Pair, Purpose, Verdict

_ANYBODY = Rule()
_Word = tuple[int, datetime, str]  # revision, when, id: of two words the greater is the later
Key = tuple[int, int, str, str]  # minus priority, minus votes, shuffle, pair id


@dataclass(slots=True)
class _State:
    pair: Pair
    shuffle: str
    rule: Rule = _ANYBODY
    wanted: int = 0
    decided: bool = False  # adjudicated: no vote is asked for, whatever the votes say
    judged: dict[str, Judgment] = field(default_factory=dict)  # by labeler, present ones
    last: dict[str, _Word] = field(default_factory=dict)  # by labeler, withdrawals too
    events: int = 0
    leases: dict[str, float] = field(default_factory=dict)  # labeler -> seconds until when
    ranks: dict[str, int] = field(default_factory=dict)  # labeler -> number of the lease's row
    place: Key | None = None  # in the order, while a vote may be wanted

    def verdicts(self) -> list[Verdict]:
        return [j.verdict for j in self.judged.values() if j.verdict is not Verdict.SKIP]

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
        self._alike: defaultdict[tuple[str, str], list[str]] = defaultdict(list)  # pairs by answers
        self._twins: set[str] = set()  # pairs whose answers another pair has too
        self._done: defaultdict[str, set[str]] = defaultdict(set)  # labeler -> pairs judged
        self._held: defaultdict[str, dict[str, None]] = defaultdict(dict)  # labeler -> pairs leased
        self._seen: defaultdict[str, set[str]] = defaultdict(set)  # labeler -> votes they know of
        self._rules: Mapping[str, Rule] = {}

    def __len__(self) -> int:
        """How many pairs there are to label: training pairs and comparisons of policies."""
        return self._regular

    def add(self, pairs: Iterable[Pair]) -> None:
        """Take in pairs; known ones are left as they are."""
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
            if is_regular(pair):
                self._regular += 1
                self._place(state)

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
        already = before is not None and before.verdict is not Verdict.SKIP
        if not is_regular(state.pair) or not counts or already:
            return False
        return len(state.verdicts()) >= state.wanted

    def record(self, judgment: Judgment) -> None:
        """Count a judgment (or a withdrawal) and end its labeler's lease."""
        state = self._states[judgment.pair_id]
        state.events += 1
        who = judgment.labeler
        state.leases.pop(who, None)
        self._held[who].pop(judgment.pair_id, None)
        word = _word(judgment)
        if who in state.last and word < state.last[who]:
            return  # an earlier word that another server stored later
        state.last[who] = word
        if judgment.withdrawn:
            state.judged.pop(who, None)
            self._done[who].discard(judgment.pair_id)
        else:
            state.judged[who] = judgment
            self._done[who].add(judgment.pair_id)
        if is_regular(state.pair):
            self._place(state)

    def forget(self, judgment: Judgment, *, before: Judgment | None) -> None:
        """Undo `record` of a judgment that could not be stored."""
        state = self._states[judgment.pair_id]
        state.events -= 1
        state.judged.pop(judgment.labeler, None)
        self._done[judgment.labeler].discard(judgment.pair_id)
        if before is not None:
            state.judged[judgment.labeler] = before
            self._done[judgment.labeler].add(judgment.pair_id)
        if is_regular(state.pair):
            self._place(state)

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
        last = self._states[pair_id].last.get(labeler)
        return 0 if last is None else last[0] + 1

    def is_latest(self, judgment: Judgment) -> bool:
        """Whether nothing later is known of its labeler on its pair."""
        last = self._states[judgment.pair_id].last.get(judgment.labeler)
        return last is None or last < _word(judgment)

    def rank(self, pair_id: str, labeler: str, number: int) -> None:
        """The number of the row that tells other servers of a lease."""
        self._states[pair_id].ranks[labeler] = number

    def is_outrun(self, pair_id: str, labeler: str, *, now: float) -> bool:
        """Whether others took the pair before this labeler's lease was stored, and are enough."""
        state = self._states[pair_id]
        if not is_regular(state.pair):
            return False
        own = state.ranks.get(labeler, 0)
        before = sum(
            1
            for who, until in state.leases.items()
            if who != labeler and until > now and who in state.ranks and state.ranks[who] < own
        )
        return len(state.verdicts()) + before >= state.wanted

    def drop(self, pair_id: str, labeler: str) -> None:
        """End a lease as if it had never been."""
        self._states[pair_id].leases.pop(labeler, None)
        self._held[labeler].pop(pair_id, None)

    def extra_of(self, pair_id: str) -> list[Judgment]:
        """The votes beyond those that were wanted when they came, by the time they were given."""
        state = self._states[pair_id]
        given = sorted(state.judged.values(), key=lambda j: (j.created_at, j.id))
        votes = [j for j in given if j.verdict is not Verdict.SKIP]
        extra = self._extra_votes(state, [j.verdict for j in votes])
        return votes[len(votes) - extra :] if is_regular(state.pair) else []

    def present(self, pair_id: str) -> tuple[list[Judgment], int]:
        """A pair's present judgments and how many events led there."""
        state = self._states[pair_id]
        return list(state.judged.values()), state.events

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
        found = dict.fromkeys(
            ("waiting", "begun", "tie_break", "held", "settled", "no_majority"), 0
        )
        found |= {"votes": 0, "extra_votes": 0, "votes_saved": 0, "repeats": 0}
        for state in self._states.values():
            found["repeats"] += state.pair.purpose is Purpose.REPEAT
            if not is_regular(state.pair):
                continue
            verdicts = state.verdicts()
            found["votes"] += len(verdicts)
            found["extra_votes"] += self._extra_votes(state, verdicts)
            found["held"] += any(until > now for until in state.leases.values())
            if state.decided:
                found["settled"] += 1
            elif len(verdicts) >= state.wanted:
                found["settled" if majority(verdicts) else "no_majority"] += 1
                found["votes_saved"] += max(0, self._most_votes(state) - len(verdicts))
            elif not verdicts:
                found["waiting"] += 1
            elif self._is_tie_break(state, verdicts):
                found["tie_break"] += 1
            else:
                found["begun"] += 1
        return found

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

    def _most_votes(self, state: _State) -> int:
        """What a fixed design that can always break a tie would have spent on the pair."""
        config = self._config
        if config.stop_at is not None:
            return config.max_votes
        planned = votes_wanted([], state.pair, config)
        return planned + (1 if config.tie_breaker and planned > 1 else 0)

    def _extra_votes(self, state: _State, verdicts: list[Verdict]) -> int:
        """Votes beyond those wanted at any time, as the votes came in."""
        if len(verdicts) <= state.wanted:
            return 0
        prefixes = (verdicts[:k] for k in range(len(verdicts)))
        asked = max(votes_wanted(prefix, state.pair, self._config) for prefix in prefixes)
        return max(0, len(verdicts) - asked)

    def _is_tie_break(self, state: _State, verdicts: list[Verdict]) -> bool:
        return len(verdicts) >= votes_wanted([], state.pair, self._config)

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


def _word(judgment: Judgment) -> _Word:
    return judgment.revision, judgment.created_at, judgment.id


def is_regular(pair: Pair) -> bool:
    """Whether a pair's votes are what the project is for: not gold, not a repeat, not imported."""
    return pair.purpose in (Purpose.TRAIN, Purpose.EVALUATION) and pair.strategy != IMPORTED_VOTES
