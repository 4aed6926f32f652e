"""Which two answers people are asked about. Pure: responses in, pairs and counted drops out.

Only answers worth comparing meet (generate/filters.py); which of them is a strategy's choice
(generate/strategies.py). Everything that gave no pair is counted by reason.
"""

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import assert_never

from generate.filters import Drop, Filters, usable
from generate.strategies import (
    Match,
    Strategy,
    across_temperatures,
    best_against_lower,
    between_policies,
    most_different,
    shuffled,
    spread,
    uncertain,
)
from generate.swiss import Game, next_round
from storage.records import Pair, Purpose, Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Formed:
    """New pairs of some prompts and what was left out on the way."""

    pairs: list[Pair]
    drops: Counter[Drop]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a strategy may know beside the answers.

    pairs: training pairs there are of them. Those of the same round and strategy count as formed.
    scores: by response id, higher is better. points: by pair id, the first answer's in a judged pair
    (1 won, 0.5 tied, 0 lost).
    """

    pairs: Collection[Pair] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    points: Mapping[str, float] = field(default_factory=dict)


NOTHING = Known()
UNORDERED = (Strategy.RANDOM, Strategy.ACROSS_TEMPERATURES, Strategy.POLICY_AGAINST_POLICY)


def form_pairs(
    by_prompt: Mapping[str, Sequence[Response]],
    *,
    strategy: Strategy = Strategy.RANDOM,
    pairs_per_prompt: int,
    filters: Filters,
    seed: int,
    number: int,
    now: datetime,
    known: Known = NOTHING,
) -> Formed:
    """The pairs that each prompt lacks of the strategy's pairs_per_prompt, none of them known.

    A prompt's pairs do not depend on the other prompts. Swiss forms its next round instead.
    number: the round.
    """
    pairs: list[Pair] = []
    drops: Counter[Drop] = Counter()
    existing = defaultdict(list)
    for pair in known.pairs:
        existing[pair.prompt_id].append(pair)
    for prompt_id, responses in sorted(by_prompt.items()):
        answers, dropped = usable(responses, filters)
        drops += dropped
        if len(answers) < 2:
            drops[Drop.TOO_FEW] += 1
            continue
        there = existing[prompt_id]
        chance = _chance(strategy.value, seed, prompt_id)
        matches = _matches(strategy, answers, there, known, chance)
        if isinstance(matches, Drop):
            drops[matches] += 1
            continue
        have = {frozenset((p.first, p.second)) for p in there}
        new = [(a, b) for a, b in matches if frozenset((a.id, b.id)) not in have]
        formed = sum((p.strategy, p.round) == (strategy.value, number) for p in there)
        wanted = len(new) if strategy is Strategy.SWISS else max(0, pairs_per_prompt - formed)
        used = Counter(answer for p in there for answer in (p.first, p.second))
        ordered = spread(new, used) if strategy in UNORDERED else iter(new)
        pairs += [
            make_pair(a, b, purpose=Purpose.TRAIN, strategy=strategy.value, number=number, now=now)
            for a, b in islice(ordered, wanted)
        ]
        if not new and not formed:
            drops[Drop.NOTHING_NEW] += 1
    return Formed(pairs=pairs, drops=drops)


def _matches(
    strategy: Strategy,
    answers: Sequence[Response],
    there: Sequence[Pair],
    known: Known,
    chance: random.Random,
) -> list[Match] | Drop:
    """One prompt's matches, best first, or why there are none."""
    match strategy:
        case Strategy.RANDOM:
            return shuffled(answers, chance)
        case Strategy.ACROSS_TEMPERATURES:
            return across_temperatures(answers, chance) or Drop.ONE_TEMPERATURE
        case Strategy.POLICY_AGAINST_POLICY:
            return between_policies(answers, chance) or Drop.ONE_POLICY
        case Strategy.MOST_DIFFERENT:
            return most_different(answers, chance)
        case Strategy.UNCERTAIN:
            return uncertain(answers, known.scores, chance) or Drop.NOT_SCORED
        case Strategy.BEST_AGAINST_LOWER:
            return best_against_lower(answers, known.scores, chance) or Drop.NOT_SCORED
        case Strategy.SWISS:
            return next_round(
                answers,
                [
                    Game(first=p.first, second=p.second, points=known.points.get(p.id))
                    for p in there
                ],
                chance,
            )
        case _:
            assert_never(strategy)


def _chance(*parts: object) -> random.Random:
    text = "\0".join(map(str, parts))
    return random.Random(hashlib.sha256(text.encode()).digest())


def policy_pairs(
    ours: Mapping[str, Sequence[Response]],
    theirs: Mapping[str, Sequence[Response]],
    *,
    filters: Filters,
    number: int,
    now: datetime,
) -> Formed:
    """One policy's answers against another's: same prompt, same settings and seed.

    Answers that are the same are left out and counted: nobody can prefer one of them. What a policy
    does badly must count against it, so filters should show looping answers and refusals.
    """
    pairs: list[Pair] = []
    drops: Counter[Drop] = Counter()
    for prompt_id, responses in sorted(ours.items()):
        opposite = {_settings(r): r for r in theirs.get(prompt_id, ())}
        for response in sorted(responses, key=lambda r: r.id):
            other = opposite.get(_settings(response))
            if other is None:
                drops[Drop.TOO_FEW] += 1
                continue
            shown, dropped = usable([response, other], filters)
            drops += dropped
            if len(shown) == 2:
                pairs.append(
                    make_pair(
                        response,
                        other,
                        purpose=Purpose.EVALUATION,
                        strategy="policy against policy",
                        number=number,
                        now=now,
                    )
                )
    return Formed(pairs=pairs, drops=drops)


def _settings(response: Response) -> tuple[float, float, int, int]:
    return (response.temperature, response.top_p, response.max_tokens, response.sample_index)


def make_pair(
    a: Response, b: Response, *, purpose: Purpose, strategy: str, number: int, now: datetime
) -> Pair:
    """The pair of two answers to the same prompt, in canonical order."""
    assert a.prompt_id == b.prompt_id, "a pair's answers are to one prompt"
    first, second = sorted([a.id, b.id])
    return Pair(
        id=Pair.id_of(first=first, second=second, purpose=purpose),
        prompt_id=a.prompt_id,
        first=first,
        second=second,
        purpose=purpose,
        strategy=strategy,
        round=number,
        created_at=now,
    )
