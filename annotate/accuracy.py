"""How far one vote can be trusted, as the project's own votes tell.

Two people who are each right with probability a agree, where both prefer an answer, with probability
a² + (1 - a)². Agreement is counted on the first two votes of each pair, which are asked for however
they turn out; `vote_accuracy` of the settings counts as PRIOR_PAIRS pairs more, so that a project
without votes has it and a project with many has its own.
"""

from dataclasses import dataclass

from storage.records import IMPORTED_VOTES, Pair

PRIOR_PAIRS = 20
LEAST_AGREEMENT = 0.505  # of one vote right in .55: votes never say nothing, nor the opposite


def shrunk_agreement(agreeing: int, pairs: int, *, vote_accuracy: float) -> float:
    """Agreement without ties after `agreeing` of `pairs` pairs, drawn towards the prior."""
    prior = vote_accuracy**2 + (1 - vote_accuracy) ** 2
    found = (agreeing + PRIOR_PAIRS * prior) / (pairs + PRIOR_PAIRS)
    return max(found, LEAST_AGREEMENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Agreement without ties of two votes: on pairs labeled here, and on those imported with votes."""

    own: float
    imported: float

    @staticmethod
    def prior(vote_accuracy: float) -> "Accuracy":
        """What is supposed before any vote is in."""
        agreement = shrunk_agreement(0, 0, vote_accuracy=vote_accuracy)
        return Accuracy(own=agreement, imported=agreement)

    def of(self, pair: Pair) -> float:
        """The agreement that votes on this pair come with."""
        return self.imported if pair.strategy == IMPORTED_VOTES else self.own
