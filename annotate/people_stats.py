"""Everybody's work as numbers, people and models in one list.

Slow is never rewarded and never flagged: who reads again agrees more often with others (PreferRead,
arXiv 2511.21912). Only votes that nobody could have read for are.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from annotate.config import Distribution
from annotate.kept import Kept, PerStore
from storage import people, team
from storage.intervals import wilson
from storage.judgments import labelers
from storage.people import Tally
from storage.records import Labeler, LabelerKind, Role
from storage.store import Store, utc_now
from storage.summaries import dashboard_version
from storage.team_records import LabelerSettings

FAST_SECONDS = 3.0
FAST_CHARS_PER_SECOND = 100.0  # of both answers; people read about 25
FAST_SHARE = 0.1  # of somebody's votes; more is flagged
MIN_TIMED = 10  # votes before a share of them says anything
PACE_DAYS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRow:
    """One labeler. Shares are in [0, 1] and None where there is nothing to count.

    too_fast: share of the votes given in under FAST_SECONDS at more than FAST_CHARS_PER_SECOND.
    left_low, left_high: 95 % Wilson interval of left_share, among `sided` preferences.
    agreement: with people's votes on the same pairs, over `vote_pairs` of them.
    """

    name: str
    role: Role
    kind: LabelerKind
    active: bool
    paused: bool
    qualified: bool
    groups: tuple[str, ...]
    daily_limit: int | None
    total_limit: int | None
    judged: int
    skipped: int
    flagged: int
    today: int
    median_seconds: float | None
    timed: int
    too_fast: float | None
    agreement: float | None
    vote_pairs: int
    sided: int
    left_share: float | None
    left_low: float | None
    left_high: float | None
    gold_right: int
    gold_total: int
    qualification_right: int
    qualification_total: int
    repeat_same: int
    repeat_total: int
    last_at: datetime | None

    @property
    def side_biased(self) -> bool:
        """Whether the interval of the left share leaves one half out."""
        if self.left_low is None or self.left_high is None:
            return False
        return not self.left_low <= 0.5 <= self.left_high

    @property
    def hasty(self) -> bool:
        """Whether more votes than FAST_SHARE were too fast to have been read for."""
        return self.too_fast is not None and self.timed >= MIN_TIMED and self.too_fast > FAST_SHARE


def people_rows(store: Store, config: Distribution) -> list[PersonRow]:
    """Everybody with an account, busiest first.

    Where votes are many, what they gave may be a few minutes old; who they are is not.
    """
    with store.connected():
        steering = team.labeler_settings(store)
        tallied = _kept.of(store).value(store, config)
        rows = [
            _row(who, tallied.get(name, Tally(name=name)), steering.get(name))
            for name, who in labelers(store).items()
        ]
    return sorted(rows, key=lambda row: (-row.judged, row.name))


def _tallied(store: Store, config: Distribution) -> dict[str, Tally]:
    # Stopping on the posterior asks on where votes differ: the first two are free of that.
    planned = min(2, config.votes_per_pair) if config.stop_at is not None else config.votes_per_pair
    found = people.tallies(
        store,
        today=_midnight(),
        fast_seconds=FAST_SECONDS,
        fast_chars=FAST_CHARS_PER_SECOND,
        votes_per_pair=planned,
        evaluation_votes=config.evaluation_votes,
        overlap_share=config.overlap_share,
        every_vote=not config.tie_breaker and config.stop_at is None,
    )
    return {tally.name: tally for tally in found}


def _version(store: Store) -> tuple[int, ...]:
    return (*dashboard_version(store), _midnight().toordinal())


_kept: PerStore[Kept[dict[str, Tally], Distribution]] = PerStore(lambda: Kept(_tallied, _version))


def _midnight() -> datetime:
    return utc_now().replace(hour=0, minute=0, second=0, microsecond=0)


def pace(store: Store) -> dict[str, list[int]]:
    """Judgments on each of the last PACE_DAYS days, today last, by labeler."""
    first = _midnight() - timedelta(days=PACE_DAYS - 1)
    found: dict[str, list[int]] = {}
    for day in people.days(store, since=first):
        found.setdefault(day.labeler, [0] * PACE_DAYS)[(day.day - first).days] = day.judged
    return found


def _row(who: Labeler, tally: Tally, steered: LabelerSettings | None) -> PersonRow:
    low, high = wilson(tally.chose_left, tally.sided) if tally.sided else (None, None)
    person = who.kind is LabelerKind.HUMAN
    return PersonRow(
        name=who.name,
        role=who.role,
        kind=who.kind,
        active=who.active,
        paused=steered.paused if steered else False,
        qualified=steered.qualified if steered else False,
        groups=steered.groups if steered else (),
        daily_limit=steered.daily_limit if steered else None,
        total_limit=steered.total_limit if steered else None,
        judged=tally.judged,
        skipped=tally.skipped,
        flagged=tally.flagged,
        today=tally.today,
        median_seconds=tally.median_seconds,
        timed=tally.timed,
        too_fast=tally.too_fast / tally.timed if tally.timed and person else None,
        agreement=tally.agreeing / tally.vote_pairs if tally.vote_pairs else None,
        vote_pairs=tally.vote_pairs,
        sided=tally.sided,
        left_share=tally.chose_left / tally.sided if tally.sided else None,
        left_low=low,
        left_high=high,
        gold_right=tally.gold_right,
        gold_total=tally.gold_total,
        qualification_right=tally.qualification_right,
        qualification_total=tally.qualification_total,
        repeat_same=tally.repeat_same,
        repeat_total=tally.repeat_total,
        last_at=tally.last_at,
    )
