"""How different a policy's answers are at each temperature, so that temperatures can be chosen. Pure.

Words are generate.filters.tokens of the normalised text. Everything that compares answers compares
those to one prompt; shares are in [0, 1] and None where there was nothing to compare.
"""

import math
import random
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from rapidfuzz.distance import Indel

from generate.filters import Filters, encoded, fault, normalised, sift, tokens
from storage.records import Response

COMPARED_PROMPTS = 1000  # more are drawn from: a share is then known to about 3 points
BLEU_ORDER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class AtTemperature:
    """The answers at one temperature.

    distinct: distinct n-grams as a share of all of one prompt's answers, for n = 1, 2, 3 (Li et al.
    2016), the mean over prompts. self_bleu: Zhu et al. 2018. drops: against all answers to a prompt.
    """

    temperature: float
    answers: int
    prompts: int
    mean_words: float
    sd_words: float
    distinct: tuple[float | None, ...]
    self_bleu: float | None
    usable_pairs: float | None
    finish_reasons: Mapping[str, int]
    drops: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """Pairs of answers of two temperatures, which may be the same one.

    usable: share of them that could be shown. distance: 1 - similarity of those without a fault of
    their own, the mean.
    """

    temperatures: tuple[float, float]
    pairs: int
    usable: float
    distance: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diversity:
    """The report. compared: prompts that distinct, self_bleu and pairs are of."""

    prompts: int
    compared: int
    rows: list[AtTemperature]
    between: list[Between]


def bleu(words: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Sentence BLEU-4 in [0, 1] with sacrebleu's defaults: closest length, effective order, and
    each n-gram order without a match counted as 1/2, 1/4, ... of one match. 0 without any match.
    """
    logs, missed = [], 0
    for n in range(1, BLEU_ORDER + 1):
        grams = Counter(_grams(words, n))
        total = grams.total()
        if not total:
            break
        most: Counter[tuple[str, ...]] = Counter()
        for reference in references:
            most |= Counter(_grams(reference, n))
        matched = (grams & most).total()
        if n == 1 and not matched:
            return 0.0
        missed += not matched
        logs.append(math.log(matched / total if matched else 0.5**missed / total))
    if not logs:
        return 0.0
    length = min((abs(len(r) - len(words)), len(r)) for r in references)[1]
    return math.exp(min(0.0, 1 - length / len(words)) + statistics.fmean(logs))


def diversity(
    by_prompt: Mapping[str, Sequence[Response]], filters: Filters, *, seed: int
) -> Diversity:
    """What all of a policy's answers look like, temperature by temperature."""
    drawn = sorted(by_prompt)
    if len(drawn) > COMPARED_PROMPTS:
        drawn = random.Random(seed).sample(drawn, COMPARED_PROMPTS)
    at: dict[float, list[Response]] = defaultdict(list)
    drops: dict[float, Counter[str]] = defaultdict(Counter)
    for responses in by_prompt.values():
        for found in sift(responses, filters):
            at[found.response.temperature].append(found.response)
            if found.drop is not None:
                drops[found.response.temperature][found.drop.value] += 1
    compared = {prompt_id: by_prompt[prompt_id] for prompt_id in drawn}
    between = _between(compared, filters)
    usable = {b.temperatures: b.usable for b in between}
    rows = []
    for temperature, responses in sorted(at.items()):
        lengths = [len(tokens(normalised(r.text))) for r in responses]
        texts = [
            [tokens(normalised(r.text)) for r in rs if r.temperature == temperature]
            for rs in compared.values()
        ]
        rows.append(
            AtTemperature(
                temperature=temperature,
                answers=len(responses),
                prompts=len({r.prompt_id for r in responses}),
                mean_words=statistics.fmean(lengths),
                sd_words=statistics.pstdev(lengths),
                distinct=tuple(_mean(_distinct(t, n) for t in texts) for n in (1, 2, 3)),
                self_bleu=_mean(_self_bleu(t) for t in texts),
                usable_pairs=usable.get((temperature, temperature)),
                finish_reasons=dict(
                    sorted(Counter(r.finish_reason.value for r in responses).items())
                ),
                drops=dict(sorted(drops[temperature].items())),
            )
        )
    return Diversity(prompts=len(by_prompt), compared=len(compared), rows=rows, between=between)


def _distinct(texts: Sequence[Sequence[str]], n: int) -> float | None:
    grams = [gram for words in texts for gram in _grams(words, n)]
    return len(set(grams)) / len(grams) if grams else None


def _self_bleu(texts: Sequence[Sequence[str]]) -> float | None:
    """The mean BLEU of each answer against the others."""
    if len(texts) < 2:
        return None
    return statistics.fmean(
        bleu(words, [*texts[:i], *texts[i + 1 :]]) for i, words in enumerate(texts)
    )


def _between(by_prompt: Mapping[str, Sequence[Response]], filters: Filters) -> list[Between]:
    pairs: Counter[tuple[float, float]] = Counter()
    usable: Counter[tuple[float, float]] = Counter()
    distances: dict[tuple[float, float], list[float]] = defaultdict(list)
    for responses in by_prompt.values():
        texts = [normalised(r.text) for r in responses]
        said = [tokens(text) for text in texts]
        judged = zip(responses, texts, said, strict=True)
        sound = [fault(r, text, words, filters) is None for r, text, words in judged]
        codes = encoded(said)
        for i, j in combinations(range(len(responses)), 2):
            low, high = sorted((responses[i].temperature, responses[j].temperature))
            pairs[low, high] += 1
            if sound[i] and sound[j]:
                alike = Indel.normalized_similarity(codes[i], codes[j])
                distances[low, high].append(1 - alike)
                usable[low, high] += texts[i] != texts[j] and alike < filters.near_duplicate
    return [
        Between(temperatures=key, pairs=n, usable=usable[key] / n, distance=_mean(distances[key]))
        for key, n in sorted(pairs.items())
    ]


def _grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return statistics.fmean(known) if known else None
