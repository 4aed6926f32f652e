"""A Swiss tournament of a prompt's answers: about log2(n) rounds rank n answers. Pure.

Each round, answers that stand close to one another and have not met are compared. A round follows
from the judgments on the earlier ones, so the next is formed only when all of them are there.
n answers take about n / 2 * log2(n) comparisons (9 for 6 answers; every pair of them: 15).
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from generate.filters import Drop
from generate.strategies import Match
from storage.records import Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Game:
    """One pair of a prompt's answers. points: of the first, 1 won, 0.5 tied, 0 lost, None open."""

    first: str
    second: str
    points: float | None


def rounds_of(answers: int) -> int:
    """How often each of so many answers meets another one."""
    return math.ceil(math.log2(answers)) if answers > 1 else 0


def standings(
    answers: Sequence[Response], games: Sequence[Game], chance: random.Random
) -> list[Response]:
    """The answers, best first, by (points + 1/2) / (games + 1); equal ones in a random order."""
    points: dict[str, float] = defaultdict(float)
    played: Counter[str] = Counter()
    for game in games:
        if game.points is not None:
            points[game.first] += game.points
            points[game.second] += 1 - game.points
            played.update((game.first, game.second))
    order = sorted(answers, key=lambda r: r.id)
    chance.shuffle(order)
    return sorted(order, key=lambda r: -(points[r.id] + 0.5) / (played[r.id] + 1))


def next_round(
    answers: Sequence[Response], games: Sequence[Game], chance: random.Random
) -> list[Match] | Drop:
    """The next round's matches, or why there are none: judgments are missing, or all is played."""
    present = {r.id for r in answers}
    games = [g for g in games if g.first in present and g.second in present]
    if any(game.points is None for game in games):
        return Drop.WAITING
    played = Counter(answer for game in games for answer in (game.first, game.second))
    met = {frozenset((game.first, game.second)) for game in games}
    needed = rounds_of(len(answers))
    order = [r for r in standings(answers, games, chance) if played[r.id] < needed]
    if len(order) % 2:  # the lowest of those who played most sits out
        most = max(played[r.id] for r in order)
        idle = next(r for r in reversed(order) if played[r.id] == most)
        order.remove(idle)
    return _neighbours(order, met) or Drop.RANKED


def _neighbours(order: Sequence[Response], met: AbstractSet[frozenset[str]]) -> list[Match]:
    """Match each answer with the nearest below it that it has not met.

    Two that are left over because they met each other trade rivals with a match further up.
    """

    def new(a: Response, b: Response) -> bool:
        return frozenset((a.id, b.id)) not in met

    left, matches, alone = list(order), [], []
    while left:
        answer = left.pop(0)
        rival = next((r for r in left if new(answer, r)), None)
        if rival is None:
            alone.append(answer)
        else:
            left.remove(rival)
            matches.append((answer, rival))
    while len(alone) > 1:
        a, b = alone.pop(), alone.pop()
        for i in reversed(range(len(matches))):
            x, y = matches[i]
            if (new(a, x) and new(b, y)) or (new(a, y) and new(b, x)):
                matches[i : i + 1] = (
                    [(a, x), (b, y)] if new(a, x) and new(b, y) else [(a, y), (b, x)]
                )
                break
    return matches
