"""One labeler at the desk: what they were shown, what they said, how quick they are."""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from statistics import quantiles

from annotate.cards import OwnAgreement
from annotate.sides import side_of
from storage.errors import ConflictError
from storage.records import Judgment, Pair, Presentation, Purpose, Verdict, content_id
from storage.store import utc_now
from storage.team_records import LabelerSettings

SHORTEST_LEASE_SECONDS = 60.0
MIN_PACE = 20  # judgments from which a pace is known


@dataclass(slots=True)
class Person:
    """One labeler at the desk."""

    name: str
    mine: dict[str, Judgment] = field(default_factory=dict)  # by pair, in order; present ones
    shown: dict[str, Presentation] = field(default_factory=dict)  # by pair, in order
    pair_of: dict[str, str] = field(default_factory=dict)  # by presentation
    skipped: int = 0
    graduated: bool = False  # has judged a pair that is no qualification pair
    pace: deque[float] = field(default_factory=lambda: deque(maxlen=100))  # seconds
    agreement: tuple[float, OwnAgreement] | None = None  # until when it is shown

    def say(self, judgment: Judgment) -> None:
        """Keep what they said of a pair of which nothing is kept."""
        self.mine[judgment.pair_id] = judgment
        self.skipped += judgment.verdict is Verdict.SKIP

    def drop(self, pair_id: str) -> None:
        """Forget what they said of a pair."""
        before = self.mine.pop(pair_id, None)
        self.skipped -= before is not None and before.verdict is Verdict.SKIP

    def show(self, shown: Presentation) -> None:
        """Remember how a pair was shown, the first time."""
        self.shown.setdefault(shown.pair_id, shown)
        self.pair_of[shown.id] = shown.pair_id

    def unshow(self, shown: Presentation) -> None:
        """It was not shown after all."""
        self.shown.pop(shown.pair_id, None)
        self.pair_of.pop(shown.id, None)

    def judged(self) -> int:
        return len(self.mine) - self.skipped

    def judged_today(self, now: datetime) -> int:
        """Since midnight UTC, skips left out; what a clock set back makes of tomorrow too."""
        count = 0
        for judgment in reversed(self.mine.values()):
            if judgment.created_at.date() < now.date():
                break
            count += judgment.verdict is not Verdict.SKIP
        return count

    def limit_left(
        self, settings: LabelerSettings | None, daily_limit: int | None, *, now: datetime
    ) -> int | None:
        """Judgments still allowed, None without a limit; an own daily limit goes first."""
        if settings is not None and settings.daily_limit is not None:
            daily_limit = settings.daily_limit
        left = []
        if daily_limit is not None:
            left.append(daily_limit - self.judged_today(now))
        if settings is not None and settings.total_limit is not None:
            left.append(settings.total_limit - self.judged())
        return max(0, min(left)) if left else None

    def shown_before(self, repeat: Pair) -> Presentation | None:
        """How the pair that this one repeats was shown to them."""
        for purpose in (Purpose.TRAIN, Purpose.EVALUATION):
            original = Pair.id_of(first=repeat.first, second=repeat.second, purpose=purpose)
            if original in self.shown:
                return self.shown[original]
        return None

    def lease_seconds(self, longest: float) -> float:
        """Three times what 95 of 100 of the own judgments took, within bounds."""
        if len(self.pace) < MIN_PACE:
            return longest
        return min(longest, max(SHORTEST_LEASE_SECONDS, 3 * quantiles(self.pace, n=20)[-1]))


def showing(person: Person, pair: Pair, *, seed: int, guideline: str) -> Presentation:
    """How this pair is, or was, shown to this person; the first time is remembered."""
    known = person.shown.get(pair.id)
    if known is not None:
        return known
    first_side = side_of(person.name, len(person.shown), seed=seed)
    if pair.purpose is Purpose.REPEAT:
        before = person.shown_before(pair)
        first_side = before.first_side.swapped() if before else first_side
    shown = Presentation(
        # Without the seed, whoever guesses policies and settings could tell what is shown by its id.
        id=content_id("s2", [seed, pair.id, person.name]),
        pair_id=pair.id,
        labeler=person.name,
        first_side=first_side,
        guideline=guideline,
        created_at=utc_now(),
    )
    person.show(shown)
    return shown


def pairs_of(person: Person, have: Collection[str]) -> dict[str, str]:
    """The pairs behind a person's own presentations; others are left out."""
    return {shown: person.pair_of[shown] for shown in have if shown in person.pair_of}


def own_presentation(person: Person, presentation: str) -> Presentation:
    """How a pair was shown to this person; raises ConflictError where it was not."""
    pair_id = person.pair_of.get(presentation)
    if pair_id is None:
        raise ConflictError(
            "This pair was not shown to you, so the judgment was not stored. "
            "Reload the page to go on with your own pairs."
        )
    return person.shown[pair_id]
