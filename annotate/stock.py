"""What comes between the pairs to label and looks like them: gold pairs, sentinels, own repeats."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from annotate.config import AnnotateConfig
from annotate.person import Person
from annotate.queue import PairQueue, is_regular
from annotate.sides import Kind, digest, kind_of
from storage.records import Pair, Purpose, Verdict
from storage.store import utc_now
from storage.team_records import GoldUse

REPEAT_AFTER = 20  # judgments between a pair and its hidden repeat


class Stock:
    """Not thread-safe by itself."""

    def __init__(self, queue: PairQueue) -> None:
        self._queue = queue
        self._unstored: dict[str, Pair] = {}  # repeats made here, until they are appended

    def draw(
        self, person: Person, n: int, *, config: AnnotateConfig, gold: Mapping[GoldUse, list[str]]
    ) -> Pair | None:
        """The gold pair, sentinel or repeat that this person's n-th showing is, if it is one.

        gold: the active gold pairs by use.
        """
        match kind_of(person.name, n, seed=config.seed, config=config):
            case Kind.REGULAR:
                return None
            case Kind.GOLD:
                return self._new_gold(person, gold.get(GoldUse.HIDDEN, ()), seed=config.seed)
            case Kind.SENTINEL:
                return self._new_gold(person, gold.get(GoldUse.SENTINEL, ()), seed=config.seed)
            case Kind.REPEAT:
                return self._repeat(person, n, seed=config.seed)

    def new_repeats(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Those of the pairs that the store does not have yet."""
        return [self._unstored.pop(p.id) for p in pairs if p.id in self._unstored]

    def keep_unstored(self, repeats: Sequence[Pair]) -> None:
        """These could not be appended: whoever is shown them next appends them."""
        self._unstored |= {p.id: p for p in repeats}

    def _new_gold(self, person: Person, ids: Sequence[str], *, seed: int) -> Pair | None:
        new = (i for i in ids if i not in person.shown and self._queue.is_new_to(i, person.name))
        drawn = min(new, key=lambda i: digest(seed, person.name, i), default=None)
        return None if drawn is None else self._queue.pair(drawn)

    def _repeat(self, person: Person, n: int, *, seed: int) -> Pair | None:
        """One of the person's own pairs of some time ago, as a pair of its own."""
        old = list(person.mine.values())[:-REPEAT_AFTER]
        drawn = int.from_bytes(digest(seed, person.name, n)[:8])
        for i in range(len(old)):
            judgment = old[(drawn + i) % len(old)]
            pair = self._queue.pair(judgment.pair_id)
            assert pair is not None, "a pair that was judged is in the queue"
            decided = judgment.verdict is not Verdict.SKIP
            blind = not self._queue.has_seen_votes(pair.id, person.name)
            if decided and blind and is_regular(pair):
                again = Pair.id_of(first=pair.first, second=pair.second, purpose=Purpose.REPEAT)
                if again not in person.shown:
                    return self._again(pair, again)
        return None

    def _again(self, pair: Pair, again: str) -> Pair:
        """The repeat of a pair, made where there is none."""
        known = self._queue.pair(again)
        if known is not None:
            return known
        repeat = replace(
            pair, id=again, purpose=Purpose.REPEAT, strategy="repeat", created_at=utc_now()
        )
        self._queue.add([repeat])
        self._unstored[again] = repeat
        return repeat
