"""Settled pairs as a dataset folder others can load: Parquet, JSONL and a card.

OUT/README.md                 card; its header tells `datasets` where the splits are
OUT/data/train.parquet        the rows of the format asked for, one file per split
OUT/data/validation.parquet
OUT/judged/train.parquet      dpo and votes: every judged pair with both answers, also undecided ones
OUT/jsonl/train.jsonl         the same rows, and OUT/jsonl/judged-train.jsonl
OUT/votes/train.csv           votes: the same rows for spreadsheets
OUT/disk/                     where asked for, the same rows for datasets.load_from_disk
OUT/handoff/<tool>/           where asked for, files for another training tool
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from storage.errors import NotReadyError
from storage.imports import imported_policies
from storage.judgments import votes
from storage.pairs import consensus_by_pair, pairs
from storage.policies import policies
from storage.prompts import prompts, prompts_by_id
from storage.records import LabelerKind, Pair, Purpose, Split, Strength, Tier, Verdict
from storage.responses import responses_by_id
from storage.run_records import RunKind, RunStatus
from storage.runs import RunLog
from storage.store import Store, utc_now
from storage.tallies import model_votes
from storage.words import many
from train.export_card import data_card
from train.export_folder import new_folder, refuse_foreign, save_to_disk, write_csv, write_split
from train.export_formats import (
    KTO_SCHEMA,
    RANKING_SCHEMA,
    REWARD_SCHEMA,
    Format,
    both_bad_rows,
    kto_rows,
    ranking_rows,
    reward_row,
)
from train.export_votes import VOTES_SCHEMA, vote_rows
from train.handoff import Handoff, write_handoffs
from train.judged import JUDGED_SCHEMA, judged_rows
from train.rows import SCHEMA, Row, Texts, export_row, identical, texts_of
from train.triplets import Built, Drop, Standing, build_triplets, standing_of

SPLITS = (Split.TRAIN, Split.VALIDATION)
SCHEMAS = {
    Format.DPO: SCHEMA,
    Format.KTO: KTO_SCHEMA,
    Format.REWARD: REWARD_SCHEMA,
    Format.RANKING: RANKING_SCHEMA,
    Format.VOTES: VOTES_SCHEMA,
}
Rows = dict[str, list[Row]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an export is to be.

    judge_votes: pairs that only models judged give preferences too, of a tier of their own.
    names: whether the people in votes keep their names. to_disk: also for load_from_disk.
    licence: an identifier the Hub knows, for the card.
    """

    shape: Format = Format.DPO
    judge_votes: bool = False
    names: bool = False
    to_disk: bool = False
    licence: str = "unknown"
    handoff: Handoff | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written. left_out: by tool, the rows its reader would not read as they are."""

    folder: Path
    rows: Mapping[str, int]  # by split
    judged: Mapping[str, int]  # judged pairs by split, where the format has them
    drops: Counter[Drop]
    left_out: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Everything read of the store."""

    pairs: Sequence[Pair]
    built: Built
    texts: Texts  # of the triplets
    standings: Mapping[str, Standing | None]


def export(store: Store, out: Path, *, agreement: str, wanted: Wanted | None = None) -> Exported:
    """Write a format's rows to a new folder; an earlier export there is replaced.

    agreement: a paragraph for the card. Raises NotReadyError when there is nothing to write and
    ConflictError when the folder holds something else.
    """
    wanted = wanted or Wanted()
    out = out.resolve()
    refuse_foreign(out)
    config: dict[str, object] = {"out": str(out), "format": wanted.shape.value}
    run = RunLog(store, RunKind.EXPORT, number=0, config=config)
    try:
        done = _export(store, out, agreement, wanted, run.run.id)
    except BaseException as error:
        nothing = isinstance(error, NotReadyError)
        run.event("nothing to export" if nothing else "export failed", status=RunStatus.FAILED)
        raise
    run.event(
        f"{many(sum(done.rows.values()), 'row')} exported", progress=1.0, status=RunStatus.DONE
    )
    return done


def _export(store: Store, out: Path, agreement: str, wanted: Wanted, run_id: str) -> Exported:
    found = _settled(store, wanted, run_id)
    shape, drops = wanted.shape, found.built.drops
    rows = _rows(store, found, wanted)
    if not rows:
        why = ", ".join(f"{n} {reason.value}" for reason, n in drops.items()) or "no pairs"
        what = "nobody judged a pair" if shape is Format.VOTES else "no pair is settled"
        on = "" if shape is Format.VOTES else " on a preferred answer"
        raise NotReadyError(
            f"There is nothing to export: {what}{on} ({why}). "
            "Collect judgments with `pairloop annotate`."
        )
    judged: Rows = {}
    if shape in (Format.DPO, Format.VOTES):
        judged = judged_rows(store, found.pairs)
    schema = SCHEMAS[shape]
    counts = {split: len(made) for split, made in rows.items()}
    left_out: Mapping[str, Mapping[str, int]] = {}
    with new_folder(out, {"run_id": run_id, "format": shape.value, "rows": counts}) as folder:
        for split, made in rows.items():
            write_split(folder, "data", split, made, schema)
            if shape is Format.VOTES:
                write_csv(folder / "votes" / f"{split}.csv", made, schema.names)
        for split, made in judged.items():
            write_split(folder, "judged", split, made, JUDGED_SCHEMA)
        if wanted.to_disk:
            save_to_disk(folder, rows, schema)
        card = data_card(
            shape,
            rows,
            judged,
            drops=drops,
            agreement=agreement,
            lineage=_lineage(store, rows),
            licence=wanted.licence,
            names=wanted.names,
        )
        (folder / "README.md").write_text(card, encoding="utf-8")
        if wanted.handoff is not None:
            left_out = write_handoffs(folder, shape, rows, wanted.handoff)
    return Exported(
        folder=out,
        rows=counts,
        judged={split: len(made) for split, made in judged.items()},
        drops=drops,
        left_out=left_out,
    )


def _settled(store: Store, wanted: Wanted, run_id: str) -> Settled:
    everything, consensus, models = pairs(store), consensus_by_pair(store), model_votes(store)
    built = build_triplets(
        everything,
        consensus,
        {p.id: p for p in prompts(store)},
        run_id=run_id,
        now=utc_now(),
        models=models,
        judge_votes=wanted.judge_votes,
    )
    return Settled(
        pairs=everything,
        built=built,
        texts=texts_of(store, built.triplets),
        standings={
            pair.id: standing_of(pair, consensus.get(pair.id), models.get(pair.id, {}))
            for pair in everything
        },
    )


def _rows(store: Store, found: Settled, wanted: Wanted) -> Rows:
    """By split, without empty ones; what gives no row is counted among the drops."""
    if wanted.shape is Format.VOTES:
        found.built.drops.clear()  # every judgment is there, whatever became of its pair
        return vote_rows(store, names=wanted.names)
    built, texts = found.built, found.texts
    if equal := sum(identical(t, texts) for t in built.triplets):
        built.drops[Drop.IDENTICAL] = equal
    kept = [t for t in built.triplets if not identical(t, texts)]
    rows: Rows = {s.value: [] for s in SPLITS}
    match wanted.shape:
        case Format.DPO:
            for t in kept:
                rows[t.split].append(export_row(t, texts))
        case Format.REWARD:
            strengths = _strengths(store, found)
            for t in kept:
                rows[t.split].append(reward_row(t, texts, strengths.get(t.pair_id, [])))
        case Format.KTO:
            for t in kept:
                rows[t.split].extend(kto_rows(t, texts))
            _add_undecided(store, found, wanted, rows)
        case Format.RANKING:
            _add_undecided(store, found, wanted, rows)
    return {split: made for split, made in rows.items() if made}


def _add_undecided(store: Store, found: Settled, wanted: Wanted, rows: Rows) -> None:
    """What ties and "both bad" are good for: signs for kto, half a win each for a ranking."""
    verdict, drop = (
        (Verdict.BOTH_BAD, Drop.BOTH_BAD) if wanted.shape is Format.KTO else (Verdict.TIE, Drop.TIE)
    )
    settled = [(p, s) for p in found.pairs if (s := found.standings[p.id]) and s.tier]
    of = prompts_by_id(store, [p.prompt_id for p, _ in settled])
    used = [
        (pair, known)
        for pair, known in settled
        if pair.purpose is Purpose.TRAIN
        and of[pair.prompt_id].split in SPLITS
        and known.verdict is verdict
        and (known.by_people or wanted.judge_votes)
    ]
    assert len(used) == found.built.drops[drop], "every pair is used or dropped"
    del found.built.drops[drop]
    if wanted.shape is Format.RANKING:
        built = {t.pair_id for t in found.built.triplets if not identical(t, found.texts)}
        used += [(pair, known) for pair, known in settled if pair.id in built]
    ids = [i for pair, _ in used for i in (pair.first, pair.second)]
    texts = Texts(prompts=of, responses=responses_by_id(store, ids))
    if wanted.shape is Format.KTO:
        for pair, known in used:
            rows[of[pair.prompt_id].split].extend(both_bad_rows(pair, known, texts))
        return
    judged: dict[str, list[tuple[Pair, float]]] = {}
    for pair, known in used:
        judged.setdefault(pair.prompt_id, []).append((pair, known.probability_first))
    for row in ranking_rows(judged, texts):
        rows[of[str(row["prompt_id"])].split].append(row)


def _strengths(store: Store, found: Settled) -> dict[str, list[Strength]]:
    """By pair how much better those who voted for its verdict said that the answer is.

    Of people, or of models where only they judged.
    """
    tiers = {t.pair_id: t.tier for t in found.built.triplets}
    strengths: dict[str, list[Strength]] = {}
    for vote in votes(store, purposes=[Purpose.TRAIN]).to_pylist():
        known, tier = found.standings[vote["pair_id"]], tiers.get(vote["pair_id"])
        for_it = known and known.verdict is not None and vote["verdict"] == known.verdict.value
        by_model = vote["kind"] == LabelerKind.MODEL.value
        if tier and for_it and vote["strength"] and by_model == (tier is Tier.JUDGE):
            strengths.setdefault(vote["pair_id"], []).append(Strength(vote["strength"]))
    return strengths


def _lineage(store: Store, rows: Rows) -> list[str]:
    names = ("policy_id", "rejected_policy_id")
    made = [row for found in rows.values() for row in found]
    used = {row[name] for row in made for name in names if name in row}
    used |= {one for row in made for one in row.get("policy_ids", [])}  # type: ignore[attr-defined]
    sources = [p for p in imported_policies(store) if p.id in used]
    return [
        f"| {p.round} | `{p.id}` | {p.method} | {p.base_model} |"
        for p in [*policies(store), *sources]
    ]
