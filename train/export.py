"""Settled pairs as a dataset folder others can load: Parquet, JSONL and a card.

OUT/README.md                 card; its header tells `datasets` where the splits are
OUT/data/train.parquet        prompt, chosen, rejected as conversations, votes, lineage
OUT/data/validation.parquet
OUT/judged/train.parquet      every judged pair with both answers, also ties and undecided ones
OUT/jsonl/train.jsonl         the same rows, and OUT/jsonl/judged-train.jsonl
"""

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import ConflictError, NotReadyError
from storage.imports import imported_policies
from storage.pairs import consensus_by_pair, pairs
from storage.policies import policies
from storage.prompts import prompts
from storage.records import Split, Tier
from storage.run_records import RunKind, RunStatus
from storage.runs import RunLog
from storage.store import Store, utc_now
from storage.tallies import model_votes
from train.judged import JUDGED_SCHEMA, judged_rows
from train.rows import TURNS, Row, export_row, identical, texts_of
from train.triplets import JUDGE_PROBABILITY, Drop, build_triplets

SCHEMA = pa.schema(
    [
        ("prompt", TURNS),
        ("chosen", TURNS),
        ("rejected", TURNS),
        ("pair_id", pa.string()),
        ("prompt_id", pa.string()),
        ("chosen_id", pa.string()),
        ("rejected_id", pa.string()),
        ("votes", pa.int64()),
        ("agreement", pa.float64()),
        ("probability", pa.float64()),
        ("weight", pa.float64()),
        ("tier", pa.string()),
        ("round", pa.int64()),
        ("origin", pa.string()),
        ("policy_id", pa.string()),
        ("chosen_temperature", pa.float64()),
        ("rejected_temperature", pa.float64()),
        ("source", pa.string()),
        ("tags", pa.list_(pa.string())),
    ]
)
SPLITS = (Split.TRAIN, Split.VALIDATION)
MARK = "pairloop-export.json"  # says that a folder is an export and may be replaced by a new one

TIERS = {
    Tier.ADJUDICATED: "an adjudicator decided, having seen the votes and their reasons",
    Tier.HUMAN_AGREED: "two or more people said so",
    Tier.HUMAN_SINGLE: "one person said so",
    Tier.JUDGE: "only language models judged it",
    Tier.IMPORTED: "it came from elsewhere with its votes",
}

CARD = """---
configs:
- config_name: default
  data_files:
{files}
- config_name: judged
  data_files:
{judged_files}
task_categories: [text-generation]
tags: [preference, dpo, pairloop]
---
# Human preferences on a policy's own answers

{rows} preference pairs (`prompt`, `chosen`, `rejected` as conversations), made with pairloop:
{origins}.

`load_dataset(FOLDER)` has the preferences; `load_dataset(FOLDER, "judged")` has every judged pair with
both answers and its votes, also ties, "both bad" and pairs without a verdict.

| split | preferences | judged pairs |
| --- | --- | --- |
{splits}

## How a preference was come by

| tier | what it is | preferences |
| --- | --- | --- |
{tiers}

`weight` is 2p - 1, p being `probability`: how much a label counts that is right with probability p.
An uncertain preference counts less; none is deleted for it.

## Agreement

{agreement}

## Left out

{drops}

## Lineage

| round | policy | method | base model |
| --- | --- | --- | --- |
{lineage}

## Columns

`agreement` is the share of a pair's votes that chose the chosen answer. `probability` is how likely it
is that the chosen answer is the better one, every vote being right as often as these people are
(from how often two of them agree; 0.95 where an adjudicator decided, {judge} where only models judged).
`origin` is `sampled` where both
answers were sampled from the policy `policy_id`, and `imported` (round -1) where they came from
elsewhere; then `policy_id` is where the chosen one came from. A prompt is in the same split in every round, by hash of its text.

In `judged`, `first` and `second` are the two answers in an order that means nothing. `verdict` is
`first`, `second`, `tie`, `both_bad`, or empty where there is none, and `reason` says why. People's votes are
counted in `first_votes` to `both_bad_votes`, models' apart from them in `judge_first_votes` and so on.
`adjudication_cause` says why people differed, where an adjudicator decided. `edits` are answers that
people made better, `flags` what they flagged. Pairs of `purpose` evaluation compare policies on
prompts of the split `test`: never train on them.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written."""

    folder: Path
    rows: Mapping[str, int]  # preferences by split
    judged: Mapping[str, int]  # judged pairs by split
    drops: Counter[Drop]


def export(store: Store, out: Path, *, agreement: str, judge_votes: bool = False) -> Exported:
    """Write every settled preference to a new folder; an earlier export there is replaced.

    agreement: a paragraph for the card. judge_votes: pairs that only models judged give preferences
    too, of a tier of their own. Raises NotReadyError when nothing is settled and
    ConflictError when the folder holds something else.
    """
    out = out.resolve()
    _refuse_foreign(out)
    run = RunLog(store, RunKind.EXPORT, number=0, config={"out": str(out)})
    everything = pairs(store)
    built = build_triplets(
        everything,
        consensus_by_pair(store),
        {p.id: p for p in prompts(store)},
        run_id=run.run.id,
        now=utc_now(),
        models=model_votes(store),
        judge_votes=judge_votes,
    )
    texts = texts_of(store, built.triplets)
    rows = {
        s.value: [export_row(t, texts) for t in built.of(s) if not identical(t, texts)]
        for s in SPLITS
    }
    rows = {split: found for split, found in rows.items() if found}
    if equal := sum(identical(t, texts) for t in built.triplets):
        built.drops[Drop.IDENTICAL] = equal
    if not rows:
        why = ", ".join(f"{n} {reason.value}" for reason, n in built.drops.items()) or "no pairs"
        run.event("nothing to export", status=RunStatus.FAILED)
        raise NotReadyError(
            f"There is nothing to export: no pair is settled on a preferred answer ({why}). "
            "Collect judgments with `pairloop annotate`."
        )
    judged = judged_rows(store, everything)
    used = {r.policy_id for r in texts.responses.values()}
    sources = [p for p in imported_policies(store) if p.id in used]
    lineage = [
        f"| {p.round} | `{p.id}` | {p.method} | {p.base_model} |"
        for p in [*policies(store), *sources]
    ]
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for split, found in rows.items():
            _write(partial, "data", split, found, SCHEMA)
        for split, found in judged.items():
            _write(partial, "judged", split, found, JUDGED_SCHEMA)
        card = _card(rows, judged, built.drops, agreement, lineage)
        (partial / "README.md").write_text(card, encoding="utf-8")
        mark = {"run_id": run.run.id, "rows": {s: len(found) for s, found in rows.items()}}
        (partial / MARK).write_text(json.dumps(mark) + "\n", encoding="utf-8")
        shutil.rmtree(out, ignore_errors=True)
        partial.replace(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        run.event("export failed", status=RunStatus.FAILED)
        raise
    run.event(f"{sum(map(len, rows.values()))} pairs exported", progress=1.0, status=RunStatus.DONE)
    counts = {split: len(found) for split, found in rows.items()}
    return Exported(
        folder=out,
        rows=counts,
        judged={split: len(found) for split, found in judged.items()},
        drops=built.drops,
    )


def _refuse_foreign(out: Path) -> None:
    if out.exists() and not (out / MARK).is_file() and (out.is_file() or any(out.iterdir())):
        raise ConflictError(
            f"{out} exists and is no earlier export, so it is not overwritten. "
            "Choose another folder, or remove it first."
        )


def _write(folder: Path, part: str, split: str, rows: list[Row], schema: pa.Schema) -> None:
    for name in (part, "jsonl"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / part / f"{split}.parquet")
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    name = f"{split}.jsonl" if part == "data" else f"{part}-{split}.jsonl"
    with (folder / "jsonl" / name).open("w", encoding="utf-8") as file:
        file.writelines(lines)


def _origins(rows: Mapping[str, list[Row]]) -> str:
    """Where the answers come from, for the card's first sentence."""
    counts = Counter(str(row["origin"]) for found in rows.values() for row in found)
    ours = "answers sampled from the policy itself, compared blind and side by side by people"
    if not counts["imported"]:
        return ours
    theirs = "answers and judgments imported from elsewhere"
    return f"{counts['sampled']} with {ours}, {counts['imported']} with {theirs}"


def _card(
    rows: Mapping[str, list[Row]],
    judged: Mapping[str, list[Row]],
    drops: Counter[Drop],
    agreement: str,
    lineage: list[str],
) -> str:
    tiers = Counter(str(row["tier"]) for found in rows.values() for row in found)
    return CARD.format(
        files=_files("data", rows),
        judged_files=_files("judged", judged),
        rows=sum(len(found) for found in rows.values()),
        origins=_origins(rows),
        splits="\n".join(
            f"| {split.value} | {len(rows.get(split, []))} | {len(judged.get(split, []))} |"
            for split in Split
            if split in rows or split in judged
        ),
        tiers="\n".join(
            f"| `{tier.value}` | {meaning} | {tiers[tier.value]} |"
            for tier, meaning in TIERS.items()
            if tiers[tier.value]
        ),
        judge=JUDGE_PROBABILITY,
        agreement=agreement,
        drops="\n".join(f"- {n} pairs: {reason.replace('_', ' ')}" for reason, n in drops.items())
        or "Nothing.",
        lineage="\n".join(lineage),
    )


def _files(part: str, rows: Mapping[str, list[Row]]) -> str:
    return "\n".join(f"  - split: {s}\n    path: {part}/{s}.parquet" for s in rows)
