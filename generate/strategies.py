"""Which of a prompt's answers meet, and in what order. Pure: answers in, matches out, best first.

    random                 any two
    across-temperatures    two that were sampled at different temperatures
    most-different         the two with the fewest words in common
    policy-against-policy  one of this policy's and one of another's
    uncertain              the two with the nearest scores
    best-against-lower     the best, and the one nearest to two standard deviations below it
    swiss                  see generate/swiss.py

Random orders come from the caller's random.Random; scores are by response id, higher is better.
"""

import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import combinations

from rapidfuzz.distance import Indel

from generate.filters import encoded, normalised, tokens
from storage.records import Response

SIGMAS = 2.0

Match = tuple[Response, Response]


class Strategy(StrEnum):
    """Why two answers meet; the value is what a pair records."""

    RANDOM = "random"
    ACROSS_TEMPERATURES = "across-temperatures"
    MOST_DIFFERENT = "most-different"
    POLICY_AGAINST_POLICY = "policy-against-policy"
    UNCERTAIN = "uncertain"
    BEST_AGAINST_LOWER = "best-against-lower"
    SWISS = "swiss"

    @property
    def needs_scores(self) -> bool:
        return self in (Strategy.UNCERTAIN, Strategy.BEST_AGAINST_LOWER)


def shuffled(answers: Sequence[Response], chance: random.Random) -> list[Match]:
    """Every two answers, in a random order."""
    order = sorted(answers, key=lambda r: r.id)
    chance.shuffle(order)
    matches = list(combinations(order, 2))
    chance.shuffle(matches)
    return matches


def across_temperatures(answers: Sequence[Response], chance: random.Random) -> list[Match]:
    """Every two answers of different temperatures, in a random order."""
    return [(a, b) for a, b in shuffled(answers, chance) if a.temperature != b.temperature]


def between_policies(answers: Sequence[Response], chance: random.Random) -> list[Match]:
    """Every two answers of different policies, in a random order."""
    return [(a, b) for a, b in shuffled(answers, chance) if a.policy_id != b.policy_id]


def most_different(answers: Sequence[Response], chance: random.Random) -> list[Match]:
    """Every two answers, those with the fewest words in common first.

    The measure is generate.filters.similarity; equal ones come in a random order.
    """
    codes = encoded([tokens(normalised(r.text)) for r in answers])
    words = dict(zip((r.id for r in answers), codes, strict=True))

    def alike(match: Match) -> float:
        return Indel.normalized_similarity(words[match[0].id], words[match[1].id])

    return sorted(shuffled(answers, chance), key=alike)


def uncertain(
    answers: Sequence[Response], scores: Mapping[str, float], chance: random.Random
) -> list[Match]:
    """Every two scored answers, those with the nearest scores first."""
    scored = [r for r in answers if r.id in scores]
    return sorted(shuffled(scored, chance), key=lambda ab: abs(scores[ab[0].id] - scores[ab[1].id]))


def best_against_lower(
    answers: Sequence[Response], scores: Mapping[str, float], chance: random.Random
) -> list[Match]:
    """The best answer with each lower one, first the one about SIGMAS below it.

    The standard deviation is that of this prompt's scores. Against the worst answer, preference
    data gets worse with more answers; the source, arXiv 2502.16825, takes the one 2 sigma below the
    mean, which a few answers seldom reach.
    """
    scored = [r for r in answers if r.id in scores]
    if len(scored) < 2:
        return []
    chance.shuffle(scored)
    best = max(scored, key=lambda r: scores[r.id])
    target = scores[best.id] - SIGMAS * statistics.pstdev(scores[r.id] for r in scored)
    lower = [r for r in scored if scores[r.id] < scores[best.id]]
    return [(best, r) for r in sorted(lower, key=lambda r: abs(scores[r.id] - target))]


def spread(matches: Sequence[Match], used: Mapping[str, int]) -> Iterator[Match]:
    """The same matches, those whose answers were used least first; else in their order.

    used: how often each answer is in a pair already.
    """
    left, times = list(matches), dict(used)
    while left:
        uses = [sorted((times.get(a.id, 0), times.get(b.id, 0)), reverse=True) for a, b in left]
        a, b = left.pop(uses.index(min(uses)))
        yield a, b
        for answer in (a, b):
            times[answer.id] = times.get(answer.id, 0) + 1
