"""Which two answers people are asked about. Pure: responses in, pairs and counted drops out.

Only answers worth comparing meet: an empty one, one cut off by the token limit, or one that says
the same as another is left out and counted.
"""

import hashlib
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher
from enum import StrEnum
from itertools import combinations

from storage.records import FinishReason, Pair, Purpose, Response

_SPACE = re.compile(r"\s+")


class Drop(StrEnum):
    """Why a response, or a prompt, gave no pair."""

    EMPTY = "empty"
    TRUNCATED = "truncated"
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    TOO_FEW = "too_few_distinct_answers"  # counted per prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Formed:
    """Pairs of some prompts and what was left out on the way."""

    pairs: list[Pair]
    drops: Counter[Drop]


def normalised(text: str) -> str:
    """Text by which two answers are the same: form, case and white space aside."""
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text)).strip().casefold()


def similarity(a: str, b: str, *, at_least: float = 0.0) -> float:
    """Share of words two answers have in common, in order: 2 M / T in [0, 1].

    0.0 without a closer look where it can't reach at_least.
    M: matching words found by Ratcliff and Obershelp's algorithm, T: words of both.
    """
    left, right = a.split(), b.split()
    if not left or not right:
        return float(left == right)
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    if matcher.real_quick_ratio() < at_least or matcher.quick_ratio() < at_least:
        return 0.0  # both are upper bounds, and spare the quadratic part
    return matcher.ratio()


def distinct(
    responses: Sequence[Response], *, near_duplicate: float
) -> tuple[list[Response], Counter[Drop]]:
    """The answers to one prompt that differ from one another, first come first kept.

    near_duplicate: similarity from which two answers count as the same, in (0, 1].
    """
    kept: list[tuple[str, Response]] = []
    drops: Counter[Drop] = Counter()
    for response in sorted(responses, key=lambda r: r.id):
        text = normalised(response.text)
        if not text:
            drops[Drop.EMPTY] += 1
        elif response.finish_reason is FinishReason.LENGTH:
            drops[Drop.TRUNCATED] += 1
        elif any(text == other for other, _ in kept):
            drops[Drop.DUPLICATE] += 1
        elif any(
            similarity(text, other, at_least=near_duplicate) >= near_duplicate for other, _ in kept
        ):
            drops[Drop.NEAR_DUPLICATE] += 1
        else:
            kept.append((text, response))
    return [response for _, response in kept], drops


def _chance(*parts: object) -> random.Random:
    text = "\0".join(map(str, parts))
    return random.Random(hashlib.sha256(text.encode()).digest())


def random_pairs(
    by_prompt: Mapping[str, Sequence[Response]],
    *,
    pairs_per_prompt: int,
    near_duplicate: float,
    seed: int,
    number: int,
    now: datetime,
) -> Formed:
    """Random pairs of distinct answers to each prompt, whatever their temperatures.

    No answer is used twice before every other was used once. number: the round.
    """
    pairs: list[Pair] = []
    drops: Counter[Drop] = Counter()
    for prompt_id, responses in sorted(by_prompt.items()):
        usable, dropped = distinct(responses, near_duplicate=near_duplicate)
        drops += dropped
        if len(usable) < 2:
            drops[Drop.TOO_FEW] += 1
            continue
        chance = _chance("random", seed, prompt_id)
        chance.shuffle(usable)
        spread = sorted(combinations(range(len(usable)), 2), key=lambda ij: (ij[1], ij[0]))
        fresh = [(i, i + 1) for i in range(0, len(usable) - 1, 2)]
        if len(usable) % 2:
            fresh.append((0, len(usable) - 1))
        order = fresh + [ij for ij in spread if ij not in fresh]
        for i, j in order[:pairs_per_prompt]:
            pairs.append(
                make_pair(
                    usable[i],
                    usable[j],
                    purpose=Purpose.TRAIN,
                    strategy="random",
                    number=number,
                    now=now,
                )
            )
    return Formed(pairs=pairs, drops=drops)


def policy_pairs(
    ours: Mapping[str, Sequence[Response]],
    theirs: Mapping[str, Sequence[Response]],
    *,
    near_duplicate: float,
    number: int,
    now: datetime,
) -> Formed:
    """One policy's answers against another's: same prompt, same settings and seed.

    Answers that are the same are left out and counted: nobody can prefer one of them.
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
            usable, dropped = distinct([response, other], near_duplicate=near_duplicate)
            drops += dropped
            if len(usable) == 2:
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
