"""Which pairs want an adjudicator, and in what order. Pure: no clock, no database inside.

    VoteCount (one judged pair) -> Case -> the order one adjudicator sees

Dispute is told as a split such as (2, 1): how many said the same, the most first. It says how far
people are apart and not who said what, so a list of cases can be shown to somebody who has not
looked at them yet.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from annotate.stats.votes import VERDICTS
from storage.adjudication_records import Adjudication
from storage.adjudications import VoteCount


class Kind(StrEnum):
    """Why a pair is a case; in the order in which they are looked at."""

    NO_MAJORITY = "no_majority"  # all its votes are in, and they decide nothing
    DISAGREEMENT = "disagreement"  # votes differ, one more is being asked for
    CONTESTED = "contested"  # settled, though not everybody agreed
    DOUBTED = "doubted"  # the votes agree, and a policy trained on them contradicts them
    FLAGGED = "flagged"  # somebody flagged a problem, the votes agree


class Show(StrEnum):
    """Parts of the list."""

    OPEN = "open"  # everything not decided yet
    NO_MAJORITY = "no_majority"
    DISAGREEMENT = "disagreement"
    CONTESTED = "contested"
    DOUBTED = "doubted"
    FLAGGED = "flagged"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A pair for the adjudicators; adjudication: the decision that stands, if there is one."""

    count: VoteCount
    kind: Kind | None  # None: the votes agree (now), and it was decided before
    dispute: float
    adjudication: Adjudication | None

    @property
    def pair_id(self) -> str:
        return self.count.pair_id


def dispute_of(split: Sequence[int]) -> float:
    """Shannon entropy of the votes over the four verdicts, from 0 (all the same) to 1 (all even)."""
    total = sum(split)
    entropy = -sum(n / total * math.log(n / total) for n in split if n)
    return abs(entropy) / math.log(len(VERDICTS))


def kind_of(count: VoteCount, *, decided: bool) -> Kind | None:
    """Why a pair is a case; None where it is none.

    decided: it has been adjudicated, so that its consensus no longer tells what its votes did.
    """
    split = count.split
    if len(split) > 1:
        if decided:
            return Kind.NO_MAJORITY if 2 * split[0] <= sum(split) else Kind.CONTESTED
        if count.settled:
            return Kind.CONTESTED
        return Kind.NO_MAJORITY if count.closed else Kind.DISAGREEMENT
    if count.doubted:
        return Kind.DOUBTED
    return Kind.FLAGGED if count.flags else None


def cases_of(counts: Iterable[VoteCount], decided: Mapping[str, Adjudication]) -> list[Case]:
    """The cases among judged pairs, decided ones too, the most disputed first.

    First those that votes have not decided, then those where one is still asked for, then settled
    ones; within each by dispute, then by how many preferred opposite answers, then by votes.
    """
    found = []
    for count in counts:
        adjudication = decided.get(count.pair_id)
        kind = kind_of(count, decided=adjudication is not None)
        if kind is not None or adjudication is not None:
            dispute = dispute_of(count.split)
            found.append(Case(count=count, kind=kind, dispute=dispute, adjudication=adjudication))
    return sorted(found, key=_place)


def for_person(cases: Iterable[Case], *, labeled: Collection[str]) -> list[Case]:
    """The same cases for one adjudicator: those whose pair they labeled themselves come last."""
    return sorted(cases, key=lambda case: case.pair_id in labeled)


def shown(cases: Iterable[Case], show: Show) -> list[Case]:
    """The cases of one part of the list; decided ones newest first, the others as they came."""
    if show is Show.DONE:
        done = [c for c in cases if c.adjudication is not None]
        return sorted(done, key=_decided_at, reverse=True)
    return [c for c in cases if c.adjudication is None and _is_shown(c, show)]


def tally(cases: Iterable[Case]) -> dict[Show, int]:
    """How many cases are in each part of the list."""
    found = dict.fromkeys(Show, 0)
    for case in cases:
        if case.adjudication is not None:
            found[Show.DONE] += 1
            continue
        for show in Show:
            found[show] += show is not Show.DONE and _is_shown(case, show)
    return found


def _is_shown(case: Case, show: Show) -> bool:
    if show is Show.FLAGGED:
        return case.count.flags > 0
    if show is Show.DOUBTED:
        return case.count.doubted
    return show is Show.OPEN or (case.kind is not None and case.kind.value == show.value)


def _decided_at(case: Case) -> datetime:
    assert case.adjudication is not None, "only decided cases are asked"
    return case.adjudication.created_at


_RANK = {kind: rank for rank, kind in enumerate(Kind)}


def _place(case: Case) -> tuple[int, float, float, int, str]:
    count = case.count
    opposed = min(count.first, count.second)
    rank = len(_RANK) if case.kind is None else _RANK[case.kind]
    return rank, -case.dispute, -opposed, -sum(count.split), count.pair_id


class Leases:
    """Who is at which case, so that two people don't decide the same one at once.

    A person is at one case at a time; a lease ends `seconds` after its holder last did something.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._held: dict[str, tuple[str, float]] = {}  # pair -> who, and until when

    def take(self, pair_id: str, who: str, *, now: float) -> bool:
        """Hold a case, and let the one before go; False while somebody else has it."""
        if self.holder(pair_id, now=now) not in ("", who):
            return False
        self.release(who)
        self._held[pair_id] = (who, now + self._seconds)
        return True

    def release(self, who: str) -> None:
        """Let go of what somebody holds."""
        self._held = {pair: held for pair, held in self._held.items() if held[0] != who}

    def leave(self, pair_id: str, who: str) -> None:
        """Let go of one case, if somebody holds it."""
        if self._held.get(pair_id, ("", 0.0))[0] == who:
            del self._held[pair_id]

    def held_by(self, who: str, *, now: float) -> str:
        """The case that somebody is at; "" for none."""
        return next((p for p, (w, until) in self._held.items() if w == who and until > now), "")

    def holder(self, pair_id: str, *, now: float) -> str:
        """Who has the case; "" for nobody."""
        who, until = self._held.get(pair_id, ("", 0.0))
        return who if until > now else ""
