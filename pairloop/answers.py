"""What a labeling server answers, as pairloop.client gives it to you."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """Whose token it is."""

    name: str
    role: str
    notice: str
    form: Mapping[str, Any]  # what the workspace asks besides which answer is better


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A pair to judge, as this labeler sees it: plain text, sides as on the page."""

    presentation: str
    prompt: str
    left: str
    right: str
    qualification: bool  # answered with feedback


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far this labeler and the project are."""

    judged: int
    skipped: int
    left: int
    settled: int
    pairs: int
    today: int
    seconds_left: float | None
    limit_left: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One of one's own decisions."""

    presentation: str
    prompt: str  # its beginning
    choice: str
    strength: str | None
    seconds: float
    at: str  # ISO 8601, UTC
    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What a qualification pair should have been."""

    right: bool
    expected: str
    explanation_html: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the server says to a judgment."""

    progress: Progress
    feedback: Feedback | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """An account and what work it gets."""

    name: str
    role: str
    kind: str
    active: bool
    paused: bool
    groups: tuple[str, ...]
    daily_limit: int | None
    total_limit: int | None
    qualified: bool


def made(kind: type[T], values: Mapping[str, Any]) -> T:
    """The record of an answer; what a newer server says besides is left out."""
    return kind(**{name: values[name] for name in kind.__dataclass_fields__})  # type: ignore[attr-defined]


def pair_of(card: Mapping[str, Any]) -> Pair:
    """The pair of a card."""
    return Pair(
        presentation=card["presentation"],
        prompt=card["prompt_text"],
        left=card["left_text"],
        right=card["right_text"],
        qualification=card["qualification"],
    )


def person_of(item: Mapping[str, Any]) -> Person:
    """The person of a list's item."""
    return made(Person, {**item, "groups": tuple(item["groups"])})
