"""What a labeler's figures add up to: findings, a sentence, and how much to weigh the votes.

Nobody is judged by one figure, and nobody's votes are thrown away by a number: the recommended
weight goes down to LEAST_WEIGHT and no further. What to do is a lead's to decide.
"""

from collections.abc import Sequence
from enum import StrEnum
from math import log
from typing import assert_never

LEAST_WEIGHT = 0.1
LEAST_VOTES = 20  # shared votes below which nothing is said of anybody


class Finding(StrEnum):
    """Something about a labeler's votes that a lead should look at; the gravest come first."""

    TOO_FEW = "too_few"
    OPPOSED = "opposed"
    CHANCE = "chance"
    LEFT = "left"
    RIGHT = "right"
    LONGER = "longer"
    SHORTER = "shorter"
    FORMATTED = "formatted"
    PLAIN = "plain"
    HASTY = "hasty"
    INCONSISTENT = "inconsistent"
    FAILS_GOLD = "fails_gold"
    UNLIKE_CROWD = "unlike_crowd"
    LESS_OFTEN_RIGHT = "less_often_right"


def words_of(finding: Finding) -> str:
    """The finding as a lead would say it."""
    match finding:
        case Finding.TOO_FEW:
            return f"fewer than {LEAST_VOTES} votes on pairs that others judged: too early to tell"
        case Finding.OPPOSED:
            return (
                "prefers the worse answer more often than not: ask whether the task was understood"
            )
        case Finding.CHANCE:
            return "the votes can't be told from a coin's"
        case Finding.LEFT:
            return "leans to the left side whatever the answers"
        case Finding.RIGHT:
            return "leans to the right side whatever the answers"
        case Finding.LONGER:
            return "favours longer answers more than the others do"
        case Finding.SHORTER:
            return "favours shorter answers more than the others do"
        case Finding.FORMATTED:
            return "favours headings, lists, bold and code more than the others do"
        case Finding.PLAIN:
            return "favours plain text more than the others do"
        case Finding.HASTY:
            return "many votes came too fast to have been read for"
        case Finding.INCONSISTENT:
            return "often says something else when the same pair comes again"
        case Finding.FAILS_GOLD:
            return "misses many pairs of known verdict"
        case Finding.UNLIKE_CROWD:
            return "the votes no longer pass for the crowd's"
        case Finding.LESS_OFTEN_RIGHT:
            return "is right less often than most"
        case _:
            assert_never(finding)


def verdict_of(findings: Sequence[Finding], *, weight: float) -> str:
    """One sentence, or a few."""
    if not findings:
        return "Votes as reliably as the others do."
    said = "; ".join(words_of(f) for f in findings)
    advice = (
        f" Weigh these votes {weight:.2f} instead of 1."
        if weight < 1
        else " Nothing to change yet."
    )
    return f"{said[0].upper()}{said[1:]}.{advice}"


def weight_of(right_high: float, *, typical: float) -> float:
    """How much a labeler's vote should count beside a typical one's, LEAST_WEIGHT .. 1.

    Independent votes are best added with weights log(a / (1 - a)), a being how often one is right
    (Nitzan and Paroush 1982). right_high: the upper end of a's interval, so that only what is known
    counts against anybody. Where typical votes are no better than a coin nobody can be told apart.
    """
    if typical <= 0.5 or right_high >= typical:
        return 1.0
    if right_high <= 0.5:
        return LEAST_WEIGHT
    share = log(right_high / (1 - right_high)) / log(typical / (1 - typical))
    return max(LEAST_WEIGHT, round(share, 2))
