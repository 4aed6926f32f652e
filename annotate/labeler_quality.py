"""One labeler: what is known of their votes, the findings that follow, and a recommended weight."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from annotate.quality_words import LEAST_VOTES, Finding, verdict_of, weight_of
from annotate.stats.bias import Effect
from annotate.stats.estimate import Estimate, Measured

LEAN = 0.1  # how far from one half, or from everybody, a share must lie to be worth a word
SELF_AGREEMENT, GOLD_SHARE = 0.65, 0.7  # below these, with the whole interval, a lead should look


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelerQuality:
    """One labeler; None where the votes don't tell.

    shared: votes on pairs that others voted on too, which accuracy and ability rest on.
    accuracy: chance of saying what is true (Dawid and Skene). ability: 0 is guessing; right: the
    chance of preferring the better answer that it means. side, length, formatting: everybody's
    effect and the labeler's own together, in log-odds. repeats_turned: repeats on which the preferred
    answer changed over. weight: recommended for the votes, 1 for most.
    """

    labeler: str
    votes: int
    shared: int
    median_seconds: float | None
    too_fast: float | None
    against_rest: Estimate
    accuracy: Measured | None
    ability: Measured | None
    right: Measured | None
    side: Effect | None
    length: Effect | None
    formatting: Effect | None
    consistency: Estimate
    repeats_turned: int
    gold: Estimate
    crowd_votes: int
    crowd_alarm_at: int | None
    findings: tuple[Finding, ...]
    weight: float
    verdict: str


def judged(
    one: LabelerQuality,
    *,
    overall: Sequence[Effect],
    typical: float | None,
    hasty: bool = False,
    z: float = 1.96,
) -> LabelerQuality:
    """The labeler with findings, weight and verdict filled in.

    z: how many standard errors make a finding; larger with many labelers, so that hardly anybody is
    accused by chance. The weight goes by the 95 % interval alone.
    """
    findings: list[Finding] = []
    right, weight = one.right, 1.0
    if one.shared < LEAST_VOTES or right is None or typical is None:
        findings.append(Finding.TOO_FEW)
    else:
        low, high = right.value - z * right.error, right.value + z * right.error
        weight = weight_of(right.high, typical=typical)
        if high < 0.5:
            findings.append(Finding.OPPOSED)
        elif low <= 0.5 and high < typical:
            findings.append(Finding.CHANCE)
        elif weight < 1:
            findings.append(Finding.LESS_OFTEN_RIGHT)
    findings += _leanings(one, overall, z)
    if hasty:
        findings.append(Finding.HASTY)
    if one.consistency.high is not None and one.consistency.high < SELF_AGREEMENT:
        findings.append(Finding.INCONSISTENT)
    if one.gold.high is not None and one.gold.high < GOLD_SHARE:
        findings.append(Finding.FAILS_GOLD)
    if one.crowd_alarm_at is not None:
        findings.append(Finding.UNLIKE_CROWD)
    ordered = tuple(sorted(findings, key=list(Finding).index))
    return replace(one, findings=ordered, weight=weight, verdict=verdict_of(ordered, weight=weight))


def _leanings(one: LabelerQuality, overall: Sequence[Effect], z: float) -> list[Finding]:
    """A side is a leaning of itself; length and formatting are where others lean less."""
    found = []
    side = one.side
    if side is not None and abs(side.share - 0.5) > LEAN and abs(side.value) > z * side.error:
        found.append(Finding.LEFT if side.value > 0 else Finding.RIGHT)
    shared = {e.name: e for e in overall}
    for own, more, less in (
        (one.length, Finding.LONGER, Finding.SHORTER),
        (one.formatting, Finding.FORMATTED, Finding.PLAIN),
    ):
        if own is None or abs(own.share - shared[own.name].share) <= LEAN:
            continue
        beyond = own.value - shared[own.name].value
        if abs(beyond) > z * own.error:
            found.append(more if beyond > 0 else less)
    return found
