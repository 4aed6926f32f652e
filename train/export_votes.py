"""Every single judgment as data: who said what about which pair, with the people numbered.

{"pair_id": "c1:...", "labeler": "labeler 1", "kind": "human", "verdict": "first",
 "strength": "clear", "first_side": "left", "seconds": 5.0, ...}
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from storage.judgments import judgments_by_id, labelers
from storage.records import Judgment, LabelerKind, Pair, Split
from storage.store import Store
from train.rows import Part, Row

PORTION = 32_768  # judgments whose words are in memory at once

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


def votes_parts(
    store: Store, given: pa.Table, pairs: Mapping[str, Pair], *, names: bool
) -> dict[str, Part]:
    """By split of the prompt the judgments that count now, skips included, oldest first.

    given: storage.judgments.judgments_in_order, of pairs that are all among these.
    names: whether people keep their names and what they wrote as reasons; else they are numbered.
    """
    who = labelers(store)
    models = {name for name, one in who.items() if one.kind is LabelerKind.MODEL}
    shown: Mapping[str, str] | None = None
    if not names:
        everybody = given["labeler"].to_pylist()
        shown = {name: name for name in models} | numbered(n for n in everybody if n not in models)

    def made(some: pa.Table) -> Iterator[list[Row]]:
        for start in range(0, len(some), PORTION):
            ids, sides = (some[c].slice(start, PORTION).to_pylist() for c in ("id", "first_side"))
            found = judgments_by_id(store, ids)
            yield [
                _vote_row(found[i], pairs[found[i].pair_id], side or "", models, shown)
                for i, side in zip(ids, sides, strict=True)
            ]

    by_split = {split.value: given.filter(pc.equal(given["split"], split.value)) for split in Split}
    return {
        split: Part(rows=len(some), portions=made(some))
        for split, some in by_split.items()
        if len(some)
    }


def _vote_row(
    judgment: Judgment, pair: Pair, side: str, models: set[str], shown: Mapping[str, str] | None
) -> Row:
    """shown: what people are called instead of their names; None where they keep them."""
    return {
        "pair_id": pair.id,
        "prompt_id": pair.prompt_id,
        "first_id": pair.first,
        "second_id": pair.second,
        "purpose": pair.purpose.value,
        "round": pair.round,
        "labeler": judgment.labeler if shown is None else shown[judgment.labeler],
        "kind": "model" if judgment.labeler in models else "human",
        "verdict": judgment.verdict.value,
        "strength": judgment.strength.value if judgment.strength else "",
        "first_side": side,
        "criteria": [
            {"criterion": name, "verdict": said} for name, said in judgment.criteria.items()
        ],
        "flags": list(judgment.flags),
        "edited": judgment.edited_text,
        "rationale": "" if shown is not None else judgment.rationale,
        "guideline": judgment.guideline,
        "revision": judgment.revision,
        "seconds": judgment.seconds,
        "created_at": judgment.created_at.isoformat(),
    }


def numbered(labelers_of_votes: Iterable[str]) -> dict[str, str]:
    """A number for each person; 1 gave the most votes."""
    counts = Counter(labelers_of_votes)
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    width = len(str(len(ordered)))
    return {name: f"labeler {i:0{width}}" for i, name in enumerate(ordered, start=1)}
