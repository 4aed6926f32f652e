"""Who is asked about which pair next. In memory, no clock and no database inside.

A pair is open to a labeler who has not judged it while its votes and the pairs others hold on
lease together are fewer than the votes wanted. Pairs that have votes already come first, so that
work in progress settles before new pairs are begun; among equals the order is a seeded shuffle.
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from annotate.config import AnnotateConfig
from annotate.consensus import votes_wanted
from storage.records import Judgment, Pair, Side, Verdict


@dataclass(slots=True)
class _State:
    pair: Pair
    shuffle: str
    judged: dict[str, Judgment] = field(default_factory=dict)  # by labeler, present ones
    revisions: dict[str, int] = field(default_factory=dict)  # by labeler, withdrawn ones too
    events: int = 0
    leases: dict[str, float] = field(default_factory=dict)  # labeler -> seconds until when

    def verdicts(self) -> list[Verdict]:
        return [j.verdict for j in self.judged.values() if j.verdict is not Verdict.SKIP]


def shown_side(pair_id: str, labeler: str, *, seed: int) -> Side:
    """The side a pair's first response is shown on: a fair coin, the same at every restart."""
    digest = hashlib.sha256(f"{seed}\0{pair_id}\0{labeler}".encode()).digest()
    return Side.LEFT if digest[0] & 1 else Side.RIGHT


class PairQueue:
    """Pairs, the votes they have and the leases people hold."""

    def __init__(self, config: AnnotateConfig) -> None:
        self._config = config
        self._states: dict[str, _State] = {}
        self._undecided: dict[str, _State] = {}  # those that may still want a vote

    def __len__(self) -> int:
        return len(self._states)

    def add(self, pairs: Iterable[Pair]) -> None:
        """Take in pairs; known ones are left as they are."""
        for pair in pairs:
            if pair.id not in self._states:
                key = f"{self._config.seed}\0{pair.id}"
                state = _State(pair, hashlib.sha256(key.encode()).hexdigest())
                self._states[pair.id] = self._undecided[pair.id] = state

    def pair(self, pair_id: str) -> Pair | None:
        state = self._states.get(pair_id)
        return state.pair if state else None

    def record(self, judgment: Judgment) -> None:
        """Count a judgment (or a withdrawal) and end its labeler's lease."""
        state = self._states[judgment.pair_id]
        state.events += 1
        state.revisions[judgment.labeler] = judgment.revision
        state.leases.pop(judgment.labeler, None)
        if judgment.withdrawn:
            state.judged.pop(judgment.labeler, None)
        else:
            state.judged[judgment.labeler] = judgment
        verdicts = state.verdicts()
        if len(verdicts) < votes_wanted(verdicts, state.pair, self._config):
            self._undecided[judgment.pair_id] = state
        else:
            self._undecided.pop(judgment.pair_id, None)

    def next_revision(self, pair_id: str, labeler: str) -> int:
        """One more than the labeler's last word on the pair."""
        return self._states[pair_id].revisions.get(labeler, -1) + 1

    def present(self, pair_id: str) -> tuple[list[Judgment], int]:
        """A pair's present judgments and how many events led there."""
        state = self._states[pair_id]
        return list(state.judged.values()), state.events

    def take(self, labeler: str, *, count: int, have: Collection[str], now: float) -> list[Pair]:
        """Lease up to `count` open pairs to a labeler, beyond those in `have` (pair ids).

        Pairs already on lease to the labeler come first: a reload goes on where it was. What the
        browser has is renewed.
        """
        until = now + self._config.lease_seconds
        for pair_id in have:
            if (state := self._states.get(pair_id)) and labeler in state.leases:
                state.leases[labeler] = until
        candidates = [
            s
            for s in self._undecided.values()
            if s.pair.id not in have and self._open(s, labeler, now)
        ]
        candidates.sort(key=lambda s: (labeler not in s.leases, -len(s.verdicts()), s.shuffle))
        for state in candidates[:count]:
            state.leases[labeler] = until
        return [state.pair for state in candidates[:count]]

    def lease(self, pair_id: str, labeler: str, *, now: float) -> None:
        """Hold a pair for a labeler, for example one they took back."""
        self._states[pair_id].leases[labeler] = now + self._config.lease_seconds

    def open_to(self, labeler: str, *, now: float) -> int:
        """How many pairs the labeler could still judge."""
        return sum(self._open(state, labeler, now) for state in self._undecided.values())

    def _open(self, state: _State, labeler: str, now: float) -> bool:
        if labeler in state.judged:
            return False
        held = sum(1 for who, until in state.leases.items() if who != labeler and until > now)
        verdicts = state.verdicts()
        return len(verdicts) + held < votes_wanted(verdicts, state.pair, self._config)
