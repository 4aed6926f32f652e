"""How far one vote can be trusted, as the project's own votes tell.

Two people who are each right with probability a agree, where both prefer an answer, with probability
a² + (1 - a)². Agreement is counted on the first two votes of each pair, which are asked for however
they turn out; `vote_accuracy` of the settings counts as PRIOR_PAIRS pairs more, so that a project
without votes has it and a project with many has its own.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from annotate.config import ConsensusRule, Distribution
from annotate.label_model import LabelModel, fit_labels
from annotate.stats.estimate import Ints
from annotate.stats.votes import Votes, verdict_codes, votes_of
from storage.store import Store
from storage.tallies import agreement_of_two, votes_of_people

PRIOR_PAIRS = 20
LEAST_AGREEMENT = 0.505  # of one vote right in .55: votes never say nothing, nor the opposite


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """What votes are worth in a project.

    own, imported: agreement without ties of two votes, on pairs labeled here and on those that came
    with their votes. model: None unless the settings ask for it and there are votes enough.
    """

    own: float
    imported: float
    model: LabelModel | None = None

    @staticmethod
    def prior(vote_accuracy: float) -> "Accuracy":
        """What is supposed before any vote is in."""
        agreement = shrunk_agreement(0, 0, vote_accuracy=vote_accuracy)
        return Accuracy(own=agreement, imported=agreement)


def shrunk_agreement(agreeing: int, pairs: int, *, vote_accuracy: float) -> float:
    """Agreement without ties after `agreeing` of `pairs` pairs, drawn towards the prior."""
    prior = vote_accuracy**2 + (1 - vote_accuracy) ** 2
    found = (agreeing + PRIOR_PAIRS * prior) / (pairs + PRIOR_PAIRS)
    return max(found, LEAST_AGREEMENT)


def project_accuracy(store: Store, config: Distribution) -> Accuracy:
    """What the votes in the store are worth, fitted on all of them."""
    counts = agreement_of_two(store)
    own, imported = (
        shrunk_agreement(*counts.get(kind, (0, 0)), vote_accuracy=config.vote_accuracy)
        for kind in (False, True)
    )
    model = None
    if config.consensus is ConsensusRule.DAWID_SKENE:
        votes, _, labelers = coded_votes(votes_of_people(store))
        model = fit_labels(votes, labelers)
    return Accuracy(own=own, imported=imported, model=model)


def coded_votes(table: pa.Table) -> tuple[Votes, list[str], list[str]]:
    """Votes as codes, and the pairs and labelers behind the codes."""
    pair_N, pairs = _codes(table["pair_id"])
    labeler_N, labelers = _codes(table["labeler"])
    verdict_N, verdicts = _codes(table["verdict"])
    codes = verdict_codes(verdicts)[verdict_N]
    votes = votes_of(pair_N, labeler_N, codes, pairs=len(pairs), labelers=len(labelers))
    return votes, pairs, labelers


def _codes(column: pa.ChunkedArray) -> tuple[Ints, list[str]]:
    encoded = pc.dictionary_encode(column.combine_chunks())
    values: list[str] = encoded.dictionary.to_pylist()
    return np.asarray(encoded.indices, dtype=np.int64), values
