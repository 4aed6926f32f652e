"""Prompts that nearly repeat another one. Pure and exact: texts in, pairs of their places out.

Two texts are near when the Jaccard share of their distinct runs of RUN words is at_least or more.
Only texts that share one of their rarest runs are compared (prefix filtering: Chaudhuri, Ganti and
Kaushik 2006), which loses nothing and makes 100,000 prompts a matter of seconds.
"""

import math
from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from generate.filters import normalised, tokens
from storage.records import Message

RUN = 3
BITS = 21  # of a word's number: three words are one 64-bit key
NEAR = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A text nearly the same as an earlier one, by their places; share in [0, 1]."""

    later: int
    earlier: int
    share: float


def text_of(messages: Sequence[Message]) -> str:
    """What is compared of a conversation: all but the system prompt, which many share."""
    return normalised("\n".join(m.content for m in messages if m.role != "system"))


def near_duplicates(texts: Sequence[str], *, at_least: float = NEAR, start: int = 0) -> list[Near]:
    """Each text from place start on that is near to an earlier one, with the first one found."""
    found = []
    runs = _runs(texts)
    holders: defaultdict[int, list[int]] = defaultdict(list)
    for place, mine in enumerate(runs):
        if not mine:
            continue
        # Two sets this near share one of these: all their other runs together would be too few.
        prefix = mine[: len(mine) - math.ceil(at_least * len(mine)) + 1]
        if place >= start:
            near = _first_near(place, runs, prefix, holders, at_least)
            if near is not None:
                found.append(near)
        for run in prefix:
            holders[run].append(place)
    return found


def _first_near(
    place: int,
    runs: Sequence["array[int]"],
    prefix: Sequence[int],
    holders: defaultdict[int, list[int]],
    at_least: float,
) -> Near | None:
    mine = set(runs[place])
    seen = set()
    for run in prefix:
        for other in holders.get(run, ()):
            size = len(runs[other])
            if other in seen or not at_least * len(mine) <= size <= len(mine) / at_least:
                continue
            seen.add(other)
            common = len(mine.intersection(runs[other]))
            share = common / (len(mine) + size - common)
            if share >= at_least:
                return Near(later=place, earlier=other, share=share)
    return None


def _runs(texts: Sequence[str]) -> list["array[int]"]:
    """Each text's distinct runs of words as numbers, rarest first (the number is the rank)."""
    numbers: dict[str, int] = {}
    keys, places = [], []
    for place, text in enumerate(texts):
        words = np.fromiter(
            (numbers.setdefault(t, len(numbers) + 1) % 2**BITS for t in tokens(text)), np.int64
        )
        if len(words):
            # A text shorter than a run is one run.
            width = min(RUN, len(words))
            parts = [words[i : len(words) - width + 1 + i] << (BITS * i) for i in range(width)]
            keys.append(np.unique(np.sum(parts, axis=0)))
            places.append(np.full(len(keys[-1]), place))
    made = [array("q") for _ in texts]
    if not keys:
        return made
    _, which, counts = np.unique(np.concatenate(keys), return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.lexsort((np.arange(len(counts)), counts))] = np.arange(len(counts))
    ranks, at = rank[which], np.concatenate(places)
    order = np.lexsort((ranks, at))
    _fill(made, ranks[order], at[order])
    return made


def _fill(
    made: list["array[int]"], ranks: npt.NDArray[np.int64], places: npt.NDArray[np.int64]
) -> None:
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(places)], strict=True):
        made[places[start]] = array("q", ranks[start:end].tobytes())
