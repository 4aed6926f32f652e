"""How far models that judge agree with people, and how biased they are.

A pair counts once, whatever number of votes it has: agreement with single votes is the chance
that a person picked at random agrees on a pair picked at random (Zheng et al. 2023, "Judging
LLM-as-a-Judge with MT-Bench and Chatbot Arena", section 4.1). Of each pair its first two votes
are taken: later ones are asked for where those differ, so they are no random sample. As there,
"both bad" is a tie here, which is all a model may say. Never compare figures with and without ties.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from annotate.judge import Preferred, orders_of
from annotate.stats.estimate import Estimate, Floats, Ints, estimate_of, kinds_of, ratio_of
from annotate.stats.labelers import cohen_estimate
from storage.records import Verdict

if TYPE_CHECKING:  # most projects have no judge: their commands need not wait for it
    import pandas as pd

FIRST_VOTES = 2  # per pair: those that were to come whatever the others said
FIRST, SECOND, TIE = range(3)
_CODES = {
    Verdict.FIRST.value: FIRST,
    Verdict.SECOND.value: SECOND,
    Verdict.TIE.value: TIE,
    Verdict.BOTH_BAD.value: TIE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One model against people. Every estimate resamples pairs; n is the pairs it rests on.

    people_agreement is the bar: two people on the pairs that both the model and people judged.
    left_share: of the preferences in single orders, those for the answer shown first; .5 is none.
    longer_share: of the preferences, those for the longer answer; people's on the same pairs.
    """

    labeler: str
    model: str  # as its newest judgments name it, "" where they do not
    judged: int
    shared: int  # pairs that people judged as well
    majority_agreement: Estimate
    majority_agreement_without_ties: Estimate
    vote_agreement: Estimate
    vote_agreement_without_ties: Estimate
    people_agreement: Estimate
    people_agreement_without_ties: Estimate
    kappa: Estimate  # Cohen's, with the majority, tie a verdict
    position_consistency: Estimate
    left_share: Estimate
    longer_share: Estimate
    people_longer_share: Estimate


def model_rows(models: pa.Table, votes: pa.Table, *, seed: int = 0) -> list[ModelRow]:
    """One row per model that has judged, by name.

    models, votes: storage.judges.model_judgments and annotate.agreement.votes_to_count.
    """
    if not models.num_rows:
        return []
    judged = _coded(models)
    people = votes.select(["pair_id", "verdict", "kind", "place"]).to_pandas()
    people = _coded(people[people["kind"] != "model"])
    counts = _counts(people)
    first_counts = _counts(people[people["place"] <= FIRST_VOTES])
    return [
        _row(str(name), group, counts, first_counts, seed=seed)
        for name, group in judged.groupby("labeler", sort=True)
    ]


def _coded(table: "pa.Table | pd.DataFrame") -> "pd.DataFrame":
    frame = table.to_pandas() if isinstance(table, pa.Table) else table
    return frame.assign(code=frame["verdict"].map(_CODES).astype("int64"))


def _counts(people: "pd.DataFrame") -> "pd.DataFrame":
    """Votes per pair (index) and verdict (columns FIRST, SECOND, TIE)."""
    import pandas as pd

    found = pd.crosstab(people["pair_id"], people["code"])
    return found.reindex(columns=[FIRST, SECOND, TIE], fill_value=0)


def _row(
    name: str,
    group: "pd.DataFrame",
    counts: "pd.DataFrame",
    first_counts: "pd.DataFrame",
    *,
    seed: int,
) -> ModelRow:
    criteria = [json.loads(text) for text in group["criteria"]]
    orders = [o for o in map(orders_of, criteria) if o is not None]
    shared = group[group["pair_id"].isin(counts.index)]
    code = shared["code"].to_numpy()
    votes = counts.reindex(shared["pair_id"]).to_numpy(dtype=np.float64)
    early = first_counts.reindex(shared["pair_id"], fill_value=0).to_numpy(dtype=np.float64)

    def estimated(per_pair: Floats) -> Estimate:
        asked = per_pair[per_pair[:, 1] > 0]
        return estimate_of(*kinds_of(asked), ratio_of, n=len(asked), seed=seed)

    return ModelRow(
        labeler=name,
        model=str(criteria[-1].get("model", "")),
        judged=len(group),
        shared=len(shared),
        majority_agreement=estimated(_with_majority(code, votes)),
        majority_agreement_without_ties=estimated(_with_majority(code, votes, ties=False)),
        vote_agreement=estimated(_with_votes(code, early)),
        vote_agreement_without_ties=estimated(_with_votes(code, early, ties=False)),
        people_agreement=estimated(_among_people(early)),
        people_agreement_without_ties=estimated(_among_people(early[:, :TIE])),
        kappa=cohen_estimate(_confusion(code, votes), seed=seed),
        position_consistency=estimated(_consistency(orders)),
        left_share=estimated(_left(orders)),
        longer_share=estimated(_longer(group, np.eye(3)[group["code"].to_numpy()])),
        people_longer_share=estimated(_longer(shared, early)),
    )


def _majority(votes: Floats) -> Ints:
    """The verdict of more than half of a pair's votes; -1 where there is none."""
    more_than_half = 2 * votes.max(axis=1, initial=0) > votes.sum(axis=1)
    return np.where(more_than_half, votes.argmax(axis=1), -1)


def _with_majority(code: Ints, votes: Floats, *, ties: bool = True) -> Floats:
    """Per pair: whether model and majority agree, and whether that is asked."""
    majority = _majority(votes)
    asked = majority >= 0 if ties else (majority >= 0) & (majority < TIE) & (code < TIE)
    return np.column_stack([asked & (majority == code), asked]).astype(np.float64)


def _with_votes(code: Ints, votes: Floats, *, ties: bool = True) -> Floats:
    """Per pair: the share of its votes that agree with the model, and whether that is asked."""
    counted = votes if ties else votes[:, :TIE] * (code < TIE)[:, None]
    total = counted.sum(axis=1)
    agreeing = (counted * (np.arange(counted.shape[1]) == code[:, None])).sum(axis=1)
    share = np.divide(agreeing, total, out=np.zeros_like(total), where=total > 0)
    return np.column_stack([share, total > 0])


def _among_people(votes: Floats) -> Floats:
    """Per pair: the chance that two of its votes agree, and whether there are two."""
    n = votes.sum(axis=1)
    agreeing = (votes * (votes - 1)).sum(axis=1)
    possible = n * (n - 1)
    share = np.divide(agreeing, possible, out=np.zeros_like(n), where=possible > 0)
    return np.column_stack([share, possible > 0])


def _confusion(code: Ints, votes: Floats) -> Floats:
    """Pairs with a majority, by the model's verdict (row) and people's (column)."""
    majority = _majority(votes)
    known = majority >= 0
    cells = np.bincount(3 * code[known] + majority[known], minlength=9)
    return cells.reshape(3, 3).astype(np.float64)


def _consistency(orders: Sequence[tuple[Preferred, Preferred]]) -> Floats:
    same = {
        (Preferred.LEFT, Preferred.RIGHT),
        (Preferred.RIGHT, Preferred.LEFT),
        (Preferred.TIE, Preferred.TIE),
    }
    return np.array([[o in same, 1] for o in orders], dtype=np.float64).reshape(-1, 2)


def _left(orders: Sequence[tuple[Preferred, Preferred]]) -> Floats:
    """Per pair: preferences for what was shown first, and preferences."""
    rows = [[o.count(Preferred.LEFT), len(o) - o.count(Preferred.TIE)] for o in orders]
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def _longer(pairs: "pd.DataFrame", votes: Floats) -> Floats:
    """Per pair: the share of its preferences that are for the longer answer, and if there are."""
    difference = (pairs["first_chars"] - pairs["second_chars"]).to_numpy()
    longer = np.where(difference > 0, votes[:, FIRST], votes[:, SECOND])
    total = votes[:, FIRST] + votes[:, SECOND]
    asked = (difference != 0) & (total > 0)
    share = np.divide(longer, total, out=np.zeros_like(total), where=asked)
    return np.column_stack([share, asked])
