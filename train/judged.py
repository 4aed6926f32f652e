"""Every judged pair as data, whatever was said of it: the `judged` half of an export.

{"prompt": [...], "first": [...], "second": [...], "verdict": "tie", "tie_votes": 2, "votes": 2,
 "probability_first": 0.5, "tier": "human_agreed", "adjudication_cause": "", ...}
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from storage.adjudication_records import Adjudication
from storage.adjudications import standing
from storage.prompts import portions
from storage.records import (
    IMPORTED_ROUND,
    Consensus,
    Pair,
    Purpose,
    Split,
    Verdict,
)
from storage.store import Store
from storage.tallies import Remark, remarks_of_people
from train.export_known import Known
from train.rows import TURNS, Part, Row, Texts, answer, texts_by_id
from train.triplets import standing_of

PORTION = 8192  # pairs whose texts, without tokens, are in memory at once
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


def judged_parts(store: Store, known: Known) -> dict[str, Part]:
    """By split the training and evaluation pairs that anybody judged, skips included."""
    decisions = standing(store)
    remarks: dict[str, list[Remark]] = defaultdict(list)
    for remark in remarks_of_people(store):
        remarks[remark.pair_id].append(remark)
    found: dict[str, list[Judged]] = {split.value: [] for split in Split}
    for pair in known.pairs:
        judged = pair.id in known.consensus or pair.id in known.models
        if judged and pair.purpose in (Purpose.TRAIN, Purpose.EVALUATION):
            found[known.splits[pair.prompt_id]].append(
                Judged(
                    pair=pair,
                    consensus=known.consensus.get(pair.id),
                    models=known.models.get(pair.id, {}),
                    adjudication=decisions.get(pair.id),
                    remarks=remarks.get(pair.id, ()),
                )
            )
    return {
        split: Part(rows=len(some), portions=_made(store, some))
        for split, some in found.items()
        if some
    }


def _made(store: Store, judged: Sequence[Judged]) -> Iterator[list[Row]]:
    for some in portions(judged, PORTION):
        answers = [i for one in some for i in (one.pair.first, one.pair.second)]
        texts = texts_by_id(store, [one.pair.prompt_id for one in some], answers, tokens=False)
        yield [judged_row(one, texts) for one in some]


def judged_row(one: Judged, texts: Texts) -> Row:
    """One row, flat and without missing values: where there is none, text is empty."""
    pair, found = one.pair, one.consensus
    prompt = texts.prompts[pair.prompt_id]
    first, second = texts.responses[pair.first], texts.responses[pair.second]
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
