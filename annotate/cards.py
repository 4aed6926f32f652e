"""What a labeler sees and says: cards, decisions, and the way between screen and stored order."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar, assert_never

from annotate.config import RESERVED, AnnotateConfig
from storage.errors import InputError
from storage.prompts import prompts_by_id
from storage.records import Judgment, Message, Pair, Presentation, Side, Strength, Verdict
from storage.responses import texts_by_id
from storage.store import Store, utc_now

T = TypeVar("T")

MAX_SECONDS = 24 * 3600.0
MAX_RATIONALE_CHARS = 20_000
MAX_EDIT_CHARS = 200_000
_KEPT_TEXTS = 5000


class Choice(StrEnum):
    """What a person pressed, in the order they saw."""

    LEFT = "left"
    RIGHT = "right"
    TIE = "tie"
    BOTH_BAD = "both_bad"
    SKIP = "skip"


class Answer(StrEnum):
    """What a person said to a further question, in the order they saw."""

    LEFT = "left"
    RIGHT = "right"
    SAME = "same"


class Standing(StrEnum):
    """Whether somebody gets work now."""

    OPEN = "open"
    EMPTY = "empty"  # nothing is left for them
    PAUSED = "paused"
    LIMIT = "limit"  # their judgments of the day, or of all
    QUALIFYING = "qualifying"
    NOT_QUALIFIED = "not_qualified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One pair as one person sees it; `presentation` is the only handle that leaves the server."""

    presentation: str
    messages: tuple[Message, ...]
    left: str
    right: str
    qualification: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A decision on a card. `key` is the client's idempotency key (a fresh UUID per decision).

    edited_text: the better answer made still better. guideline: the version the person had.
    """

    key: str
    presentation: str
    choice: Choice
    strength: Strength | None
    seconds: float
    rationale: str = ""
    flags: tuple[str, ...] = ()
    criteria: Mapping[str, Answer] = field(default_factory=dict)
    acceptable: bool | None = None
    edited_text: str = ""
    skip_reason: str = ""
    guideline: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What a qualification pair should have been, as this person saw it."""

    right: bool
    expected: Choice
    explanation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAgreement:
    """How often a labeler agrees with others on the same pairs; None while there is too little."""

    value: float | None
    vote_pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far one person and the whole project are.

    judged: pairs this person has judged; skipped ones are apart. left: pairs still open to them.
    settled / pairs: of all pairs now in the project. today: judged since midnight UTC.
    seconds_left: at their own pace. agreement: where the lead shows it.
    """

    judged: int
    skipped: int
    left: int
    settled: int
    pairs: int
    today: int
    seconds_left: float | None
    limit_left: int | None
    agreement: OwnAgreement | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """What somebody gets: new cards, and which of those they have were judged elsewhere."""

    cards: list[Card]
    gone: list[str]  # presentations
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The answer to a stored judgment."""

    progress: Progress
    feedback: Feedback | None  # after a qualification pair


def to_verdict(choice: Choice, first_side: Side) -> Verdict:
    """From what was seen to what is stored."""
    match choice:
        case Choice.LEFT:
            return Verdict.FIRST if first_side is Side.LEFT else Verdict.SECOND
        case Choice.RIGHT:
            return Verdict.SECOND if first_side is Side.LEFT else Verdict.FIRST
        case Choice.TIE:
            return Verdict.TIE
        case Choice.BOTH_BAD:
            return Verdict.BOTH_BAD
        case Choice.SKIP:
            return Verdict.SKIP
        case _:
            assert_never(choice)


def to_choice(verdict: Verdict, first_side: Side) -> Choice:
    """From what is stored to what was seen."""
    return next(c for c in Choice if to_verdict(c, first_side) is verdict)


def stored_criteria(submission: Submission, first_side: Side) -> dict[str, str]:
    """The further answers in stored order: first, second or same; yes or no; the skip's reason."""
    sides = {Side.LEFT: Answer.LEFT, Side.RIGHT: Answer.RIGHT}
    found = {}
    for name, answer in submission.criteria.items():
        first = "first" if sides[first_side] is answer else "second"
        found[name] = "same" if answer is Answer.SAME else first
    if submission.acceptable is not None:
        found["acceptable"] = "yes" if submission.acceptable else "no"
    if submission.skip_reason:
        found["skip_reason"] = submission.skip_reason
    return found


def judgment_of(submission: Submission, shown: Presentation, labeler: str) -> Judgment:
    """The judgment a decision is, in stored order, before its revision is known."""
    return Judgment(
        id=submission.key,
        pair_id=shown.pair_id,
        labeler=labeler,
        presentation_id=shown.id,
        revision=0,
        verdict=to_verdict(submission.choice, shown.first_side),
        strength=submission.strength,
        withdrawn=False,
        criteria=stored_criteria(submission, shown.first_side),
        rationale=submission.rationale,
        edited_text=submission.edited_text,
        flags=submission.flags,
        guideline=submission.guideline or shown.guideline,
        seconds=submission.seconds,
        created_at=utc_now(),
    )


def seen_criteria(criteria: Mapping[str, str], first_side: Side) -> dict[str, str]:
    """Stored answers with first and second as the sides somebody sees; others as they are."""
    sides = {"first": first_side.value, "second": first_side.swapped().value}
    return {k: v if k in RESERVED else sides.get(v, v) for k, v in criteria.items()}


def seen_decision(judgment: Judgment, first_side: Side) -> dict[str, object]:
    """A stored judgment as its labeler gave it."""
    asked = {k: v for k, v in judgment.criteria.items() if k not in RESERVED}
    acceptable = judgment.criteria.get("acceptable")
    return {
        "choice": to_choice(judgment.verdict, first_side).value,
        "strength": judgment.strength.value if judgment.strength else None,
        "rationale": judgment.rationale,
        "flags": list(judgment.flags),
        "criteria": seen_criteria(asked, first_side),
        "acceptable": None if acceptable is None else acceptable == "yes",
        "edited_text": judgment.edited_text,
        "skip_reason": judgment.criteria.get("skip_reason", ""),
    }


def check(submission: Submission, config: AnnotateConfig) -> None:
    """Refuse what is no judgment, or what this workspace does not ask for."""
    decisive = submission.choice in (Choice.LEFT, Choice.RIGHT)
    if not 8 <= len(submission.key) <= 64:
        raise InputError("The judgment's key must have 8 to 64 characters; a UUID does.")
    if submission.strength is not None and not decisive:
        raise InputError(f"A strength goes with left or right, not with {submission.choice}.")
    if not 0 <= submission.seconds <= MAX_SECONDS:
        raise InputError(f"seconds must be between 0 and {MAX_SECONDS:.0f}.")
    if submission.skip_reason and submission.choice is not Choice.SKIP:
        raise InputError("A reason for skipping goes with a skip.")
    asked = {question.name for question in config.criteria}
    for name in submission.criteria:
        if name not in asked:
            known = ", ".join(sorted(asked)) or "none"
            raise InputError(f"This workspace has no question {name!r}. Its questions: {known}.")
    if submission.edited_text and not (decisive and config.allow_edit):
        raise InputError(
            "An edited answer goes with left or right, where the workspace allows edits."
        )
    texts = (
        submission.key,
        submission.rationale,
        submission.edited_text,
        submission.skip_reason,
        submission.guideline,
        *submission.flags,
    )
    if any(0xD800 <= ord(c) <= 0xDFFF for text in texts for c in text):
        raise InputError("The judgment holds half of a surrogate pair, which is no character.")
    if len(submission.rationale) > MAX_RATIONALE_CHARS:
        raise InputError(f"The rationale is longer than {MAX_RATIONALE_CHARS} characters.")
    if len(submission.edited_text) > MAX_EDIT_CHARS:
        raise InputError(f"The edited answer is longer than {MAX_EDIT_CHARS} characters.")


def presentations_in(have: str) -> Sequence[str]:
    """The presentations of a comma-separated parameter."""
    return [part for part in have.split(",") if part]


class CardMaker:
    """Fetches the texts of pairs and lays them out for one person; keeps the latest in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._texts: dict[str, str] = {}
        self._messages: dict[str, tuple[Message, ...]] = {}

    def messages(self, prompt_ids: Iterable[str]) -> dict[str, tuple[Message, ...]]:
        """The conversations of these prompts."""
        wanted, kept = list(prompt_ids), self._messages
        found = {p: kept[p] for p in wanted if p in kept}
        if missing := [p for p in wanted if p not in found]:
            fetched = {i: p.messages for i, p in prompts_by_id(self._store, missing).items()}
            self._keep(kept, fetched)
            found |= fetched
        return found

    def cards(
        self,
        pairs: Sequence[Pair],
        shown: Sequence[Presentation],
        *,
        qualifying: Iterable[str] = (),
        ahead: Sequence[Pair] = (),
    ) -> list[Card]:
        """One card per pair, in order. ahead: pairs whose texts may be fetched along."""
        if not pairs:
            return []
        texts = self._texts_of(pairs, ahead)
        messages = self.messages(p.prompt_id for p in pairs)
        teaching = set(qualifying)
        cards = []
        for pair, presentation in zip(pairs, shown, strict=True):
            first, second = texts[pair.first], texts[pair.second]
            left_first = presentation.first_side is Side.LEFT
            cards.append(
                Card(
                    presentation=presentation.id,
                    messages=messages[pair.prompt_id],
                    left=first if left_first else second,
                    right=second if left_first else first,
                    qualification=pair.id in teaching,
                )
            )
        return cards

    def _texts_of(self, pairs: Sequence[Pair], ahead: Sequence[Pair]) -> dict[str, str]:
        wanted = [r for p in pairs for r in (p.first, p.second)]
        kept = self._texts
        found = {r: kept[r] for r in wanted if r in kept}
        if len(found) < len(set(wanted)):
            more = [r for p in ahead for r in (p.first, p.second) if r not in kept]
            fetched = texts_by_id(self._store, [*(r for r in wanted if r not in found), *more])
            self._keep(self._texts, fetched)
            found |= fetched
        return found

    def _keep(self, kept: dict[str, T], found: Mapping[str, T]) -> None:
        with self._lock:
            if len(kept) > _KEPT_TEXTS:
                kept.clear()
            kept.update(found)
