"""Settled pairs as a dataset folder others can load: Parquet, JSONL and a card.

OUT/README.md                 card; its header tells `datasets` where the splits are
OUT/data/train.parquet        prompt, chosen, rejected as conversations, votes, lineage
OUT/data/validation.parquet
OUT/jsonl/train.jsonl         the same rows
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
from storage.records import Split
from storage.run_records import RunKind, RunStatus
from storage.runs import RunLog
from storage.store import Store, utc_now
from train.rows import Row, export_row, identical, texts_of
from train.triplets import Drop, build_triplets

_TURNS = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
SCHEMA = pa.schema(
    [
        ("prompt", _TURNS),
        ("chosen", _TURNS),
        ("rejected", _TURNS),
        ("pair_id", pa.string()),
        ("prompt_id", pa.string()),
        ("chosen_id", pa.string()),
        ("rejected_id", pa.string()),
        ("votes", pa.int64()),
        ("agreement", pa.float64()),
        ("probability", pa.float64()),
        ("weight", pa.float64()),
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

CARD = """---
configs:
- config_name: default
  data_files:
{files}
task_categories: [text-generation]
tags: [preference, dpo, pairloop]
---
# Human preferences on a policy's own answers

{rows} preference pairs (`prompt`, `chosen`, `rejected` as conversations), made with pairloop:
{origins}.

| split | pairs |
| --- | --- |
{splits}

## Agreement

{agreement}

## Left out

{drops}

## Lineage

| round | policy | method | base model |
| --- | --- | --- | --- |
{lineage}

## Columns

`agreement` is the share of a pair's votes that chose the chosen answer, `probability` the
estimated probability that it is preferred (Beta(1, 1) prior). `origin` is `sampled` where both
answers were sampled from the policy `policy_id`, and `imported` (round -1) where they came from
elsewhere; then `policy_id` is where the chosen one came from. A prompt is in the same split in every round, by hash of its text.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written."""

    folder: Path
    rows: Mapping[str, int]  # by split
    drops: Counter[Drop]


def export(store: Store, out: Path, *, agreement: str) -> Exported:
    """Write every settled preference to a new folder; an earlier export there is replaced.

    agreement: a paragraph for the card. Raises NotReadyError when nothing is settled and
    ConflictError when the folder holds something else.
    """
    out = out.resolve()
    _refuse_foreign(out)
    run = RunLog(store, RunKind.EXPORT, number=0, config={"out": str(out)})
    built = build_triplets(
        pairs(store),
        consensus_by_pair(store),
        {p.id: p for p in prompts(store)},
        run_id=run.run.id,
        now=utc_now(),
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
            _write(partial, split, found)
        card = _card(rows, built.drops, agreement, lineage)
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
    return Exported(folder=out, rows=counts, drops=built.drops)


def _refuse_foreign(out: Path) -> None:
    if out.exists() and not (out / MARK).is_file() and (out.is_file() or any(out.iterdir())):
        raise ConflictError(
            f"{out} exists and is no earlier export, so it is not overwritten. "
            "Choose another folder, or remove it first."
        )


def _write(folder: Path, split: str, rows: list[Row]) -> None:
    for name in ("data", "jsonl"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "data" / f"{split}.parquet")
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    with (folder / "jsonl" / f"{split}.jsonl").open("w", encoding="utf-8") as file:
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
    rows: Mapping[str, list[Row]], drops: Counter[Drop], agreement: str, lineage: list[str]
) -> str:
    return CARD.format(
        files="\n".join(f"  - split: {s}\n    path: data/{s}.parquet" for s in rows),
        rows=sum(len(found) for found in rows.values()),
        origins=_origins(rows),
        splits="\n".join(f"| {split} | {len(found)} |" for split, found in rows.items()),
        agreement=agreement,
        drops="\n".join(f"- {n} pairs: {reason.replace('_', ' ')}" for reason, n in drops.items())
        or "Nothing.",
        lineage="\n".join(lineage),
    )
