"""The labeling desk: hands pairs to people and takes their judgments.

What goes out is blind: a card holds the conversation and the two answers as this person sees
them, and nothing of policies, temperatures, scores or other people's votes.
What comes in is durable before it is acknowledged.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from annotate.config import AnnotateConfig
from annotate.consensus import consensus_of, settle
from annotate.queue import PairQueue, shown_side
from storage import judgments as judging
from storage import pairs as pairing
from storage.errors import ConflictError, InputError
from storage.prompts import prompts_by_id
from storage.records import (
    Judgment,
    Message,
    Pair,
    Presentation,
    Side,
    Strength,
    Verdict,
    content_id,
)
from storage.responses import responses_by_id
from storage.store import Store, utc_now

LOOK_SECONDS = 1.0  # how often the store is asked for new pairs
MAX_SECONDS = 24 * 3600.0
MAX_RATIONALE_CHARS = 20_000


class Choice(StrEnum):
    """What a person pressed, in the order they saw."""

    LEFT = "left"
    RIGHT = "right"
    TIE = "tie"
    BOTH_BAD = "both_bad"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One pair as one person sees it; `presentation` is the only handle that leaves the server."""

    presentation: str
    messages: tuple[Message, ...]
    left: str
    right: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A decision on a card. `key` is the client's idempotency key (a fresh UUID per decision)."""

    key: str
    presentation: str
    choice: Choice
    strength: Strength | None
    seconds: float
    rationale: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far one person and the whole project are.

    judged: pairs this person has judged; skipped ones are apart. left: pairs still open to them.
    settled / pairs: of all pairs now in the project.
    """

    judged: int
    skipped: int
    left: int
    settled: int
    pairs: int


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


class Desk:
    """Thread-safe; one per labeling server, which alone writes judgments."""

    def __init__(self, store: Store, config: AnnotateConfig) -> None:
        self._store = store
        self._config = config
        self._lock = threading.Lock()
        self._queue = PairQueue(config)
        self._seen_rows = -1
        self._looked = 0.0
        self._guideline = ""
        self._presentations: dict[str, Presentation] = {}
        self._mine: dict[str, dict[str, Judgment]] = defaultdict(dict)  # labeler -> pair, in order
        self._keys: dict[str, tuple[str, str]] = {}  # judgment -> its labeler and pair
        self._settled: set[str] = set()
        settle(store, config)
        self._look(force=True)
        for event in judging.judgment_events(store):
            self._count(event)
        self._settled = {
            pair_id for pair_id, c in pairing.consensus_by_pair(store).items() if c.settled
        }

    def show_guideline(self, version: str) -> None:
        """Record this guideline version with what is shown from now on."""
        self._guideline = version

    def cards(self, labeler: str, *, count: int, have: Collection[str]) -> list[Card]:
        """Up to `count` cards beyond those the browser already has (their presentations)."""
        with self._lock:
            self._look(force=False)
            held = {p for p in (self._pair_of(labeler, shown) for shown in have) if p}
            taken = self._queue.take(labeler, count=count, have=held, now=time.monotonic())
            shown = [self._presentation(pair, labeler) for pair in taken]
            new = [p for p in shown if p.id not in self._presentations]
            self._store.append(new)
            self._presentations.update({p.id: p for p in new})
        return self._cards(taken, shown)

    def submit(self, labeler: str, submission: Submission) -> Progress:
        """Store a judgment; the same key again changes nothing.

        Raises InputError for what is not a judgment and ConflictError for a presentation that is
        unknown, or another person's, and for a key that another judgment has.
        """
        _check(submission)
        with self._lock:
            shown = self._own_presentation(labeler, submission.presentation)
            if self._known(submission.key, labeler) not in (None, shown.pair_id):
                raise ConflictError(
                    "This judgment came with the key of another one, so it was not stored. "
                    "Reload the page and judge the pair again."
                )
            if submission.key not in self._keys:
                self._store_judgment(
                    Judgment(
                        id=submission.key,
                        pair_id=shown.pair_id,
                        labeler=labeler,
                        presentation_id=shown.id,
                        revision=self._queue.next_revision(shown.pair_id, labeler),
                        verdict=to_verdict(submission.choice, shown.first_side),
                        strength=submission.strength,
                        withdrawn=False,
                        rationale=submission.rationale,
                        flags=submission.flags,
                        seconds=submission.seconds,
                        created_at=utc_now(),
                    )
                )
            return self._progress(labeler)

    def undo(self, labeler: str, *, key: str) -> Card | None:
        """Withdraw this person's latest judgment and give its card back; None if there is none.

        The same key again changes nothing and gives the same card.
        """
        with self._lock:
            pair_id = self._known(key, labeler)
            if pair_id is None:
                mine = self._mine[labeler]
                if not mine:
                    return None
                last = next(reversed(mine.values()))
                pair_id = last.pair_id
                self._store_judgment(
                    replace(
                        last,
                        id=key,
                        revision=self._queue.next_revision(pair_id, labeler),
                        withdrawn=True,
                        created_at=utc_now(),
                    )
                )
                self._queue.lease(pair_id, labeler, now=time.monotonic())
            pair = self._queue.pair(pair_id)
            assert pair is not None, "a judged pair is in the queue"
            shown = self._presentation(pair, labeler)
        return self._cards([pair], [shown])[0]

    def progress(self, labeler: str) -> Progress:
        with self._lock:
            self._look(force=False)
            return self._progress(labeler)

    def _look(self, *, force: bool) -> None:
        """Take in pairs that `generate` or `evaluate` appended since the last look."""
        now = time.monotonic()
        if not force and now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        rows = pairing.pair_rows(self._store)
        if rows != self._seen_rows:
            self._queue.add(pairing.pairs(self._store))
            self._seen_rows = rows

    def _count(self, judgment: Judgment) -> None:
        self._keys[judgment.id] = (judgment.labeler, judgment.pair_id)
        self._queue.record(judgment)
        mine = self._mine[judgment.labeler]
        mine.pop(judgment.pair_id, None)
        if not judgment.withdrawn:
            mine[judgment.pair_id] = judgment

    def _store_judgment(self, judgment: Judgment) -> None:
        """The judgment first and durably, then what follows from it."""
        self._store.append([judgment])
        self._count(judgment)
        current, events = self._queue.present(judgment.pair_id)
        pair = self._queue.pair(judgment.pair_id)
        assert pair is not None, "a judged pair is in the queue"
        consensus = consensus_of(
            pair,
            current,
            events=events,
            config=self._config,
            now=utc_now(),
        )
        self._store.append([consensus])
        if consensus.settled:
            self._settled.add(judgment.pair_id)
        else:
            self._settled.discard(judgment.pair_id)

    def _presentation(self, pair: Pair, labeler: str) -> Presentation:
        shown_id = content_id("s1", [pair.id, labeler])
        return self._presentations.get(shown_id) or Presentation(
            id=shown_id,
            pair_id=pair.id,
            labeler=labeler,
            first_side=shown_side(pair.id, labeler, seed=self._config.seed),
            guideline=self._guideline,
            created_at=utc_now(),
        )

    def _known(self, key: str, labeler: str) -> str | None:
        """The pair of the judgment that already has this key, None for a new key."""
        who, pair_id = self._keys.get(key, (labeler, None))
        if who != labeler:
            raise ConflictError(
                "This request came with the key of another person's request. Reload the page."
            )
        return pair_id

    def _own_presentation(self, labeler: str, presentation_id: str) -> Presentation:
        shown = self._presentations.get(presentation_id)
        if shown is None:
            shown = judging.presentation(self._store, presentation_id)
            if shown is not None:
                self._presentations[presentation_id] = shown
        if shown is None or shown.labeler != labeler:
            raise ConflictError(
                "This pair was not shown to you, so the judgment was not stored. "
                "Reload the page to go on with your own pairs."
            )
        return shown

    def _pair_of(self, labeler: str, presentation_id: str) -> str | None:
        shown = self._presentations.get(presentation_id)
        return shown.pair_id if shown and shown.labeler == labeler else None

    def _cards(self, pairs: Sequence[Pair], shown: Sequence[Presentation]) -> list[Card]:
        if not pairs:
            return []
        prompts = prompts_by_id(self._store, [p.prompt_id for p in pairs])
        texts = responses_by_id(self._store, [r for p in pairs for r in (p.first, p.second)])
        cards = []
        for pair, presentation in zip(pairs, shown, strict=True):
            first, second = texts[pair.first].text, texts[pair.second].text
            left_first = presentation.first_side is Side.LEFT
            cards.append(
                Card(
                    presentation=presentation.id,
                    messages=prompts[pair.prompt_id].messages,
                    left=first if left_first else second,
                    right=second if left_first else first,
                )
            )
        return cards

    def _progress(self, labeler: str) -> Progress:
        mine = self._mine[labeler].values()
        skipped = sum(1 for j in mine if j.verdict is Verdict.SKIP)
        return Progress(
            judged=len(mine) - skipped,
            skipped=skipped,
            left=self._queue.open_to(labeler, now=time.monotonic()),
            settled=len(self._settled),
            pairs=len(self._queue),
        )


def _check(submission: Submission) -> None:
    if not 8 <= len(submission.key) <= 64:
        raise InputError("The judgment's key must have 8 to 64 characters; a UUID does.")
    if submission.strength is not None and submission.choice not in (Choice.LEFT, Choice.RIGHT):
        raise InputError(f"A strength goes with left or right, not with {submission.choice}.")
    if not 0 <= submission.seconds <= MAX_SECONDS:
        raise InputError(f"seconds must be between 0 and {MAX_SECONDS:.0f}.")
    texts = (submission.key, submission.rationale, *submission.flags)
    if any(0xD800 <= ord(c) <= 0xDFFF for text in texts for c in text):
        raise InputError("The judgment holds half of a surrogate pair, which is no character.")
    if len(submission.rationale) > MAX_RATIONALE_CHARS:
        raise InputError(f"The rationale is longer than {MAX_RATIONALE_CHARS} characters.")
