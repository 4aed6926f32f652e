"""Which answers people are shown. Pure: one prompt's responses in, each with why it is left out.

Left out are answers nobody can judge (empty, cut off by the token limit, looping), a stock refusal
that says nothing about the question, and answers that say the same as another one.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rapidfuzz.distance import Indel

from storage.records import FinishReason, Response

LOOP_GRAM = 4  # words
LOOP_MIN_WORDS = 32  # shorter answers repeat themselves by chance
LOOP_SHARE = 0.5  # of the runs of LOOP_GRAM words that had stood in the answer before
TAIL_TIMES = 5  # how often the end repeats one passage
TAIL_TOKENS = 40  # which together are at least so long
TAIL_UNIT = 64  # and the passage at most so long
REFUSAL_WORDS = 30  # a longer refusal explains itself, which is worth a question

# Scripts written without spaces count by character: Thai, Lao, Burmese, Khmer, kana, Han.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
)
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|([^\w\s])\1*")
_REFUSAL = re.compile(
    r"(?:(?:i am|i'm|we are|we're) (?:very |so |really |truly )?(?:sorry|afraid)|my apologies|sorry"
    r"|i apologi[sz]e|unfortunately|as an? (?:ai|artificial intelligence|(?:large )?language model))"
    r"\b.{0,80}?\b(?:can't|cannot|can not|unable to|not able to|won't|will not|not allowed to"
    r"|don't have (?:the ability|access))\b"
    r"|(?:i|we) (?:can't|cannot|can not|won't|will not|am unable to|'m unable to|am not able to"
    r"|'m not able to|must decline to) (?:\w+ ){0,2}?"
    r"(?:help|assist|answer|provide|fulfil|fulfill|comply|do that|support|engage|generate|create"
    r"|write|discuss|continue|with)\b"
)


class Drop(StrEnum):
    """Why a response, or a prompt, gave no pair."""

    EMPTY = "empty"
    TRUNCATED = "truncated"
    LOOPING = "looping"
    REFUSED = "refused_template"
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    # counted per prompt:
    TOO_FEW = "too_few_distinct_answers"
    NOT_SCORED = "too_few_scored_answers"
    ONE_TEMPERATURE = "answers_of_one_temperature"
    ONE_POLICY = "answers_of_one_policy"
    NOTHING_NEW = "all_such_pairs_exist"
    WAITING = "waiting_for_judgments"
    RANKED = "already_ranked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What counts as worth showing.

    near_duplicate: similarity from which two answers count as the same, in (0, 1].
    refusals: further openings of stock refusals, for other languages or models.
    show: of TRUNCATED, LOOPING and REFUSED, what is shown all the same.
    """

    near_duplicate: float
    refusals: tuple[str, ...] = ()
    show: frozenset[Drop] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sifted:
    """One response and why it is left out; None: it may be shown."""

    response: Response
    drop: Drop | None


def normalised(text: str) -> str:
    """Text by which two answers are the same: form, case and white space aside."""
    return " ".join(unicodedata.normalize("NFKC", text).split()).casefold()


def tokens(text: str) -> list[str]:
    """Words, and marks: a run of one mark is one token, a character of an unspaced script another."""
    return [found.group() for found in _TOKEN.finditer(text)]


def encoded(texts: Sequence[Sequence[str]]) -> list[str]:
    """Each text's tokens as one character each, equal for equal ones: what edit distance reads."""
    codes: dict[str, str] = {}
    for token in {token for text in texts for token in text}:
        n = len(codes)
        codes[token] = chr(n if n < 0xD800 else n + 0x800)  # there are no characters between
    return ["".join([codes[token] for token in text]) for text in texts]


def similarity(a: str, b: str, *, at_least: float = 0.0) -> float:
    """Share of words two texts have in common, in order: 2 L / T in [0, 1]; 0.0 below at_least.

    L: longest common subsequence of words, T: words of both. It is 1 - D / T, where D is the edit
    distance with insertions and deletions.
    """
    left, right = encoded([tokens(a), tokens(b)])
    return Indel.normalized_similarity(left, right, score_cutoff=at_least)


def looping(found: list[str]) -> bool:
    """Whether an answer goes round in circles: most of it was said before, or its end repeats.

    found: its tokens.
    """
    # Without marks: JSON and tables repeat those, not what stands between them.
    words = [token for token in found if token[0].isalnum()]
    if len(words) >= LOOP_MIN_WORDS:
        grams = list(zip(*(words[i:] for i in range(LOOP_GRAM)), strict=False))
        if 1 - len(set(grams)) / len(grams) >= LOOP_SHARE:
            return True
    for unit in range(1, min(TAIL_UNIT, len(found) // TAIL_TIMES) + 1):
        times = max(TAIL_TIMES, -(-TAIL_TOKENS // unit))
        if len(found) >= unit * times and found[-unit * times :] == found[-unit:] * times:
            return True
    return False


def stock_refusal(text: str, *, further: Sequence[str] = ()) -> bool:
    """Whether an answer is nothing but a stock refusal (English, or one of the further openings).

    text: normalised. A refusal of more than REFUSAL_WORDS words says something of its own.
    """
    plain = text.replace("\u2019", "'").lstrip("\"'*_# ")
    if len(plain.split()) > REFUSAL_WORDS:
        return False
    return _REFUSAL.match(plain) is not None or plain.startswith(
        tuple(normalised(opening) for opening in further)
    )


def sift(responses: Sequence[Response], filters: Filters) -> list[Sifted]:
    """One prompt's responses by id, each with why it is left out; of those alike the first is kept.

    A response with several faults is counted under the first of Drop's order.
    """
    ordered = sorted(responses, key=lambda r: r.id)
    texts = [normalised(r.text) for r in ordered]
    kept: list[tuple[str, str]] = []
    found = []
    words = [tokens(text) for text in texts]
    for response, text, said, code in zip(ordered, texts, words, encoded(words), strict=True):
        drop = fault(response, text, said, filters) or _repeat(text, code, kept, filters)
        if drop is None:
            kept.append((text, code))
        found.append(Sifted(response=response, drop=drop))
    return found


def fault(response: Response, text: str, words: list[str], filters: Filters) -> Drop | None:
    """What is wrong with one answer by itself. text: normalised; words: its tokens."""
    if not text:
        return Drop.EMPTY
    show = filters.show
    if Drop.TRUNCATED not in show and response.finish_reason is FinishReason.LENGTH:
        return Drop.TRUNCATED
    if Drop.LOOPING not in show and looping(words):
        return Drop.LOOPING
    if Drop.REFUSED not in show and stock_refusal(text, further=filters.refusals):
        return Drop.REFUSED
    return None


def _repeat(text: str, code: str, kept: Sequence[tuple[str, str]], filters: Filters) -> Drop | None:
    if any(text == other for other, _ in kept):
        return Drop.DUPLICATE
    limit = filters.near_duplicate
    if any(Indel.normalized_similarity(code, c, score_cutoff=limit) >= limit for _, c in kept):
        return Drop.NEAR_DUPLICATE
    return None


def usable(responses: Sequence[Response], filters: Filters) -> tuple[list[Response], Counter[Drop]]:
    """The answers to one prompt that may be shown, and how many were left out by reason."""
    sifted = sift(responses, filters)
    kept = [s.response for s in sifted if s.drop is None]
    return kept, Counter(s.drop for s in sifted if s.drop is not None)
