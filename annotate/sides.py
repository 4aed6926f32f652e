"""What somebody is shown next, and on which side: drawn from the seed, repeatable, balanced.

The n-th showing to a labeler is drawn from (seed, labeler, n) alone, so a restart changes nothing
and nobody can tell a gold pair or a repeat from any other pair.
"""

import hashlib
import random
from enum import StrEnum

from annotate.config import Distribution
from storage.records import Side

BLOCK = 8  # showings within which both sides come equally often


class Kind(StrEnum):
    """Which stock the next pair comes from."""

    REGULAR = "regular"
    GOLD = "gold"
    SENTINEL = "sentinel"
    REPEAT = "repeat"


def digest(*parts: object) -> bytes:
    """A hash of the parts: what is drawn by it is the same after a restart."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).digest()


def _chance(*parts: object) -> random.Random:
    return random.Random(digest(*parts))


def side_of(labeler: str, n: int, *, seed: int) -> Side:
    """The side the first response is on in a labeler's n-th showing (from 0).

    Each block of 8 showings has 4 of each, in an order of its own.
    """
    block = [Side.LEFT, Side.RIGHT] * (BLOCK // 2)
    _chance("side", seed, labeler, n // BLOCK).shuffle(block)
    return block[n % BLOCK]


def kind_of(labeler: str, n: int, *, seed: int, config: Distribution) -> Kind:
    """Which stock a labeler's n-th showing (from 0) comes from, where that stock has a pair."""
    point = _chance("kind", seed, labeler, n).random()
    for kind, share in (
        (Kind.GOLD, config.gold_share),
        (Kind.SENTINEL, config.sentinel_share),
        (Kind.REPEAT, config.repeat_share),
    ):
        if point < share:
            return kind
        point -= share
    return Kind.REGULAR


def case_side(adjudicator: str, pair_id: str, *, seed: int) -> Side:
    """The side the first response is on where somebody adjudicates a pair they did not label."""
    return _chance("case", seed, adjudicator, pair_id).choice(list(Side))
