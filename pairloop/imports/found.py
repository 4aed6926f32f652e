"""What an import finds in a file, whatever its layout. Pure values; nothing knows the store.

A row becomes votes, candidates, something left out, or a problem:
    Vote(where="votes.csv, line 2", messages=(user "What is tea?",), a=Answer("A drink."),
         b=Answer("Tea."), annotator="w17", choice=Choice.A)
a and b are the two answers as the file orders them; which of them a pair stores first is decided
by their ids, never by this order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from storage.records import LabelerKind, Message, Strength

UNKNOWN_MODEL = "unknown"


class Choice(StrEnum):
    """What somebody said about answers a and b."""

    A = "a"
    B = "b"
    TIE = "tie"
    BOTH_BAD = "both_bad"

    def swapped(self) -> "Choice":
        match self:
            case Choice.A:
                return Choice.B
            case Choice.B:
                return Choice.A
            case _:
                return self


class Reason(StrEnum):
    """Why something readable was left out."""

    IDENTICAL = "both answers are the same"
    EMPTY = "an answer is empty"
    EARLIER = "the conversations part before the last answer"
    NO_ANSWER = "the conversation does not end with an answer"
    NO_PARTNER = "no second answer to the prompt"
    NO_CHOICE = "nothing was chosen"
    CANCELLED = "cancelled or skipped"
    NOT_SUBMITTED = "draft or discarded"
    NOT_A_VOTE = "not a vote"
    NO_ANNOTATION = "nobody has judged it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer and who gave it, as far as the file says."""

    text: str
    model: str = UNKNOWN_MODEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One person's or model's comparison of two answers to one prompt.

    shown: whether a is known to have stood on the left when it was judged.
    criteria: per question, which of a and b was better ("a", "b" or "same").
    """

    where: str
    messages: tuple[Message, ...]
    a: Answer
    b: Answer
    annotator: str
    choice: Choice
    kind: LabelerKind = LabelerKind.HUMAN
    shown: bool = False
    strength: Strength | None = None
    seconds: float = 0.0
    rationale: str = ""
    criteria: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime | None = None
    source: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Several answers to one prompt that nobody has compared yet."""

    where: str
    messages: tuple[Message, ...]
    answers: tuple[Answer, ...]
    source: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Something readable that is no usable vote; counted by reason."""

    where: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A row that can't be understood: the import is refused."""

    where: str
    says: str


Found = Vote | Candidates | LeftOut | Problem
