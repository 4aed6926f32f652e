"""In which order the rows are trained: the same for one process as for many, and after a resume."""

import math
from collections.abc import Iterator, Sequence
from random import Random

MEGA = 50  # batches that are sorted by length together, as transformers does


class Order:
    """A sampler: places of the rows in the order of one epoch."""

    def __init__(self, lengths: Sequence[int], *, batch: int, seed: int, grouped: bool) -> None:
        self._lengths, self._batch = lengths, batch
        self._seed, self._grouped = seed, grouped
        self.epoch = 0

    @property
    def steps(self) -> int:
        """Of one epoch."""
        return math.ceil(len(self._lengths) / self._batch)

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        """Shuffled; where grouped, rows of like length share a batch, the longest row first."""
        places = list(range(len(self._lengths)))
        Random(f"{self._seed}/{self.epoch}").shuffle(places)
        if not self._grouped:
            return iter(places)
        size = max(1, min(len(places) // (self._batch * 4), MEGA)) * self._batch
        groups = [
            sorted(places[i : i + size], key=lambda place: -self._lengths[place])
            for i in range(0, len(places), size)
        ]
        # An out-of-memory error comes in the first step, not in the middle of the run.
        longest = max(range(len(groups)), key=lambda i: self._lengths[groups[i][0]])
        groups[0][0], groups[longest][0] = groups[longest][0], groups[0][0]
        return iter([place for group in groups for place in group])
