"""What is known of every pair when an export begins: ids and verdicts, nothing as long as an answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from storage.pairs import consensus_by_pair, pairs
from storage.prompts import split_by_prompt
from storage.records import Consensus, Pair, Split, Verdict
from storage.store import Store
from storage.tallies import model_votes
from train.triplets import Standing, standing_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """consensus, and models' votes: by pair. splits: by prompt."""

    pairs: Sequence[Pair]
    splits: Mapping[str, Split]
    consensus: Mapping[str, Consensus]
    models: Mapping[str, Mapping[Verdict, int]]

    @classmethod
    def of(cls, store: Store) -> Self:
        """Read it; the pairs last, so that every pair that was judged is among them."""
        consensus, models = consensus_by_pair(store), model_votes(store)
        return cls(
            consensus=consensus, models=models, pairs=pairs(store), splits=split_by_prompt(store)
        )

    def standing(self, pair: Pair) -> Standing | None:
        """What people, or models, make of a pair."""
        return standing_of(pair, self.consensus.get(pair.id), self.models.get(pair.id, {}))
