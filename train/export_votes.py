"""Every single judgment as data: who said what about which pair, with the people numbered.

{"pair_id": "c1:...", "labeler": "labeler 1", "kind": "human", "verdict": "first",
 "strength": "clear", "first_side": "left", "seconds": 5.0, ...}
"""

from collections import Counter
from collections.abc import Iterable, Mapping

import pyarrow as pa

from storage.judgments import judgments, labelers, presentations_of
from storage.pairs import pairs
from storage.prompts import prompts_by_id
from storage.records import LabelerKind, Split
from storage.store import Store
from train.rows import Row

VOTES_SCHEMA = pa.schema(
    [
        ("pair_id", pa.string()),
        ("prompt_id", pa.string()),
        ("first_id", pa.string()),
        ("second_id", pa.string()),
        ("purpose", pa.string()),
        ("round", pa.int64()),
        ("labeler", pa.string()),
        ("kind", pa.string()),
        ("verdict", pa.string()),
        ("strength", pa.string()),
        ("first_side", pa.string()),
        ("criteria", pa.list_(pa.struct([("criterion", pa.string()), ("verdict", pa.string())]))),
        ("flags", pa.list_(pa.string())),
        ("edited", pa.string()),
        ("rationale", pa.string()),
        ("guideline", pa.string()),
        ("revision", pa.int64()),
        ("seconds", pa.float64()),
        ("created_at", pa.string()),
    ]
)


def vote_rows(store: Store, *, names: bool) -> dict[str, list[Row]]:
    """By split of the prompt the judgments that count now, skips included, oldest first.

    names: whether people keep their names and what they wrote as reasons; else they are numbered.
    """
    known = {pair.id: pair for pair in pairs(store)}
    given = judgments(store)
    who = labelers(store)
    models = {name for name, one in who.items() if one.kind is LabelerKind.MODEL}
    shown = {j.labeler: j.labeler for j in given}
    if not names:
        shown |= numbered(j.labeler for j in given if j.labeler not in models)
    sides = {p.id: p.first_side.value for name in shown for p in presentations_of(store, name)}
    prompts = prompts_by_id(store, [pair.prompt_id for pair in known.values()])
    rows: dict[str, list[Row]] = {split.value: [] for split in Split}
    for judgment in given:
        pair = known[judgment.pair_id]
        row: Row = {
            "pair_id": pair.id,
            "prompt_id": pair.prompt_id,
            "first_id": pair.first,
            "second_id": pair.second,
            "purpose": pair.purpose.value,
            "round": pair.round,
            "labeler": shown[judgment.labeler],
            "kind": "model" if judgment.labeler in models else "human",
            "verdict": judgment.verdict.value,
            "strength": judgment.strength.value if judgment.strength else "",
            "first_side": sides.get(judgment.presentation_id, ""),
            "criteria": [
                {"criterion": name, "verdict": said} for name, said in judgment.criteria.items()
            ],
            "flags": list(judgment.flags),
            "edited": judgment.edited_text,
            "rationale": judgment.rationale if names else "",
            "guideline": judgment.guideline,
            "revision": judgment.revision,
            "seconds": judgment.seconds,
            "created_at": judgment.created_at.isoformat(),
        }
        rows[prompts[pair.prompt_id].split.value].append(row)
    return {split: found for split, found in rows.items() if found}


def numbered(labelers_of_votes: Iterable[str]) -> Mapping[str, str]:
    """A number for each person; 1 gave the most votes."""
    counts = Counter(labelers_of_votes)
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    width = len(str(len(ordered)))
    return {name: f"labeler {i:0{width}}" for i, name in enumerate(ordered, start=1)}
