"""The vocabulary of adjudication: what an adjudicator thought before, what they decided, and why.

    (CaseRequest ->) OwnView -> Adjudication, with DiscussionNotes beside them

Frozen records like those of storage/records.py, append-only like them, in the pair's stored order.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from storage.records import Side, Strength, Verdict


class Cause(StrEnum):
    """Why people disagreed on a pair."""

    UNDERSPECIFIED_PROMPT = "underspecified_prompt"  # the prompt can be read in several ways
    STYLE = "style"  # length, tone or form: a matter of taste
    REFUSAL = "refusal"  # whether declining is right
    ERROR = "error"  # somebody overlooked something, or pressed the wrong key
    GUIDELINE_GAP = "guideline_gap"  # the guidelines don't say


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnView:
    """What an adjudicator thought of a pair before they saw the votes.

    The first one per pair and adjudicator is the one: whoever has seen the votes is blind no more.
    id is the client's idempotency key.
    """

    id: str
    pair_id: str
    adjudicator: str
    verdict: Verdict
    strength: Strength | None
    note: str
    first_side: Side  # where the first response stood
    seconds: float  # from the pair being readable to the choice
    created_at: datetime

    def __post_init__(self) -> None:
        if self.verdict is Verdict.SKIP:
            raise ValueError("a skip is no view of a pair")
        if self.strength is not None and self.verdict not in (Verdict.FIRST, Verdict.SECOND):
            raise ValueError(f"strength goes with a preference, not with {self.verdict}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjudication:
    """The decision on a pair that people disagreed on; the highest revision per pair counts.

    withdrawn gives the pair back to its votes. id is the client's idempotency key.
    """

    id: str
    pair_id: str
    revision: int
    adjudicator: str
    verdict: Verdict | None  # None: it cannot be decided, so it is never trained on
    cause: Cause
    note: str
    withdrawn: bool
    created_at: datetime

    def __post_init__(self) -> None:
        if self.verdict is Verdict.SKIP:
            raise ValueError("a skip decides nothing: None stands for what cannot be decided")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscussionNote:
    """What an adjudicator or admin wrote beside a case. id is the client's idempotency key."""

    id: str
    pair_id: str
    author: str
    text: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRequest:
    """Asks for an adjudicator on a pair whatever the votes on it say; the first per pair counts."""

    pair_id: str
    reason: str  # what of, such as "round 2": never what a vote or a policy said
    author: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseVisit:
    """Somebody is at a case from now on, or has left it: what other labeling servers go by."""

    pair_id: str
    adjudicator: str
    ended: bool
    created_at: datetime


AdjudicationRecord = OwnView | Adjudication | DiscussionNote | CaseRequest | CaseVisit
