"""Every judged pair as data, whatever was said of it: the `judged` half of an export.

{"prompt": [...], "first": [...], "second": [...], "verdict": "tie", "tie_votes": 2, "votes": 2,
 "probability_first": 0.5, "tier": "human_agreed", "adjudication_cause": "", ...}
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from storage.adjudication_records import Adjudication
from storage.adjudications import standing
from storage.pairs import consensus_by_pair
from storage.prompts import prompts_by_id
from storage.records import (
    IMPORTED_ROUND,
    Consensus,
    Pair,
    Prompt,
    Purpose,
    Response,
    Split,
    Verdict,
)
from storage.responses import responses_by_id
from storage.store import Store
from storage.tallies import Remark, model_votes, remarks_of_people
from train.rows import TURNS, Row, answer
from train.triplets import standing_of

JUDGED_SCHEMA = pa.schema(
    [
        ("prompt", TURNS),
        ("first", TURNS),
        ("second", TURNS),
        ("pair_id", pa.string()),
        ("prompt_id", pa.string()),
        ("first_id", pa.string()),
        ("second_id", pa.string()),
        ("purpose", pa.string()),
        ("verdict", pa.string()),
        ("settled", pa.bool_()),
        ("method", pa.string()),
        ("reason", pa.string()),
        ("tier", pa.string()),
        ("adjudication_cause", pa.string()),
        ("probability_first", pa.float64()),
        ("agreement", pa.float64()),
        ("votes", pa.int64()),
        ("first_votes", pa.int64()),
        ("second_votes", pa.int64()),
        ("tie_votes", pa.int64()),
        ("both_bad_votes", pa.int64()),
        ("skips", pa.int64()),
        ("judge_first_votes", pa.int64()),
        ("judge_second_votes", pa.int64()),
        ("judge_tie_votes", pa.int64()),
        ("judge_both_bad_votes", pa.int64()),
        ("edits", pa.list_(pa.struct([("answer", pa.string()), ("text", pa.string())]))),
        ("flags", pa.list_(pa.struct([("flag", pa.string()), ("count", pa.int64())]))),
        ("round", pa.int64()),
        ("origin", pa.string()),
        ("first_policy_id", pa.string()),
        ("second_policy_id", pa.string()),
        ("first_temperature", pa.float64()),
        ("second_temperature", pa.float64()),
        ("source", pa.string()),
        ("tags", pa.list_(pa.string())),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A pair with everything that is known of it."""

    pair: Pair
    consensus: Consensus | None  # None where only models judged it
    models: Mapping[Verdict, int]
    adjudication: Adjudication | None
    remarks: Sequence[Remark]


def judged_rows(store: Store, pairs: Sequence[Pair]) -> dict[str, list[Row]]:
    """Rows by split of the training and evaluation pairs that anybody judged, skips included."""
    consensus, models, decisions = consensus_by_pair(store), model_votes(store), standing(store)
    remarks: dict[str, list[Remark]] = defaultdict(list)
    for remark in remarks_of_people(store):
        remarks[remark.pair_id].append(remark)
    found = [
        Judged(
            pair=pair,
            consensus=consensus.get(pair.id),
            models=models.get(pair.id, {}),
            adjudication=decisions.get(pair.id),
            remarks=remarks.get(pair.id, ()),
        )
        for pair in pairs
        if pair.purpose in (Purpose.TRAIN, Purpose.EVALUATION)
        and (pair.id in consensus or pair.id in models)
    ]
    prompts = prompts_by_id(store, [one.pair.prompt_id for one in found])
    answers = [i for one in found for i in (one.pair.first, one.pair.second)]
    texts = responses_by_id(store, answers, tokens=False)
    rows: dict[str, list[Row]] = {split.value: [] for split in Split}
    for one in found:
        prompt = prompts[one.pair.prompt_id]
        row = judged_row(one, prompt, texts[one.pair.first], texts[one.pair.second])
        rows[prompt.split.value].append(row)
    return {split: made for split, made in rows.items() if made}


def judged_row(one: Judged, prompt: Prompt, first: Response, second: Response) -> Row:
    """One row, flat and without missing values: where there is none, text is empty."""
    pair, found = one.pair, one.consensus
    known = standing_of(pair, found, one.models)
    by_people = known is None or known.by_people
    flags = Counter(flag for remark in one.remarks for flag in remark.flags)
    return {
        "prompt": [m.as_dict() for m in prompt.messages],
        "first": answer(first),
        "second": answer(second),
        "pair_id": pair.id,
        "prompt_id": prompt.id,
        "first_id": first.id,
        "second_id": second.id,
        "purpose": pair.purpose.value,
        "verdict": known.verdict.value if known and known.verdict else "",
        "settled": known is not None and known.tier is not None,
        "method": found.method if found and by_people else "judge",
        "reason": found.reason if found and by_people else "judged by models only",
        "tier": known.tier.value if known and known.tier else "",
        "adjudication_cause": one.adjudication.cause.value if one.adjudication else "",
        "probability_first": known.probability_first if known else 0.5,
        "agreement": known.agreement if known else 0.0,
        "votes": found.votes if found else 0,
        "first_votes": found.first_votes if found else 0,
        "second_votes": found.second_votes if found else 0,
        "tie_votes": found.tie_votes if found else 0,
        "both_bad_votes": found.both_bad_votes if found else 0,
        "skips": sum(remark.verdict is Verdict.SKIP for remark in one.remarks),
        "judge_first_votes": one.models.get(Verdict.FIRST, 0),
        "judge_second_votes": one.models.get(Verdict.SECOND, 0),
        "judge_tie_votes": one.models.get(Verdict.TIE, 0),
        "judge_both_bad_votes": one.models.get(Verdict.BOTH_BAD, 0),
        "edits": [
            {"answer": remark.verdict.value, "text": remark.edited_text}
            for remark in one.remarks
            if remark.edited_text
        ],
        "flags": [{"flag": flag, "count": n} for flag, n in sorted(flags.items())],
        "round": pair.round,
        "origin": "imported" if pair.round == IMPORTED_ROUND else "sampled",
        "first_policy_id": first.policy_id,
        "second_policy_id": second.policy_id,
        "first_temperature": first.temperature,
        "second_temperature": second.temperature,
        "source": prompt.source,
        "tags": list(prompt.tags),
    }
