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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from storage.errors import NotReadyError
from storage.imports import imported_policies
from storage.judgments import judgments_in_order
from storage.policies import policies
from storage.run_records import RunKind, RunStatus
from storage.runs import RunLog
from storage.store import Store, utc_now
from storage.words import many
from train.export_card import Content, data_card
from train.export_folder import (
    Written,
    new_folder,
    refuse_foreign,
    save_to_disk,
    write_csv,
    write_split,
)
from train.export_formats import KTO_SCHEMA, RANKING_SCHEMA, REWARD_SCHEMA, Format
from train.export_known import Known
from train.export_parts import settled_parts
from train.export_votes import VOTES_SCHEMA, votes_parts
from train.handoff import Handoff, write_handoffs
from train.judged import JUDGED_SCHEMA, judged_parts
from train.rows import SCHEMA, Part, Row
from train.triplets import Drop

SCHEMAS = {
    Format.DPO: SCHEMA,
    Format.KTO: KTO_SCHEMA,
    Format.REWARD: REWARD_SCHEMA,
    Format.RANKING: RANKING_SCHEMA,
    Format.VOTES: VOTES_SCHEMA,
}
Parts = Mapping[str, Part]  # by split, without empty ones
Progress = Callable[[int, int], None]  # rows written, and all there are


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


def export(
    store: Store,
    out: Path,
    *,
    agreement: str,
    wanted: Wanted | None = None,
    progress: Progress | None = None,
) -> Exported:
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
        done = _export(store, out, agreement, wanted, run.run.id, progress)
    except BaseException as error:
        nothing = isinstance(error, NotReadyError)
        run.event("nothing to export" if nothing else "export failed", status=RunStatus.FAILED)
        raise
    run.event(
        f"{many(sum(done.rows.values()), 'row')} exported", progress=1.0, status=RunStatus.DONE
    )
    return done


def _export(
    store: Store,
    out: Path,
    agreement: str,
    wanted: Wanted,
    run_id: str,
    progress: Progress | None,
) -> Exported:
    shape, schema = wanted.shape, SCHEMAS[wanted.shape]
    parts, judged, drops = _parts(store, wanted, run_id)
    if not parts:
        why = ", ".join(f"{n} {reason.value}" for reason, n in drops.items()) or "no pairs"
        what = "nobody judged a pair" if shape is Format.VOTES else "no pair is settled"
        on = "" if shape is Format.VOTES else " on a preferred answer"
        raise NotReadyError(
            f"There is nothing to export: {what}{on} ({why}). "
            "Collect judgments with `pairloop annotate`."
        )
    content = Content(
        rows={split: part.rows for split, part in parts.items()},
        judged={split: part.rows for split, part in judged.items()},
    )
    left_out: Mapping[str, Mapping[str, int]] = {}
    mark = {"run_id": run_id, "format": shape.value, "rows": content.rows}
    with new_folder(out, mark) as folder:
        writing = _Writing(sum(p.rows for p in (*parts.values(), *judged.values())), progress)
        for split, part in parts.items():
            made = content.counting(writing.watching(part.portions))
            write_split(folder, "data", split, made, schema)
        for split, part in judged.items():
            made = writing.watching(part.portions)
            write_split(folder, "judged", split, made, JUDGED_SCHEMA)
        written = {split: Written(folder, split) for split in parts}
        if shape is Format.VOTES:
            for split, rows in written.items():
                write_csv(folder / "votes" / f"{split}.csv", rows, schema.names)
        if wanted.to_disk:
            save_to_disk(folder, written)
        card = data_card(
            shape,
            content,
            drops=drops,
            agreement=agreement,
            lineage=_lineage(store, content.policies),
            licence=wanted.licence,
            names=wanted.names,
        )
        (folder / "README.md").write_text(card, encoding="utf-8")
        if wanted.handoff is not None:
            left_out = write_handoffs(folder, shape, written, wanted.handoff)
    return Exported(
        folder=out, rows=content.rows, judged=content.judged, drops=drops, left_out=left_out
    )


def _parts(store: Store, wanted: Wanted, run_id: str) -> tuple[Parts, Parts, Counter[Drop]]:
    """The rows, those of judged pairs where the format has them, and what gives no row.

    All that votes say is read here, before any row is made, with the store kept to ourselves.
    """
    shape = wanted.shape
    with store.connected():
        if shape is Format.VOTES:  # before the pairs: then all of theirs are known
            given = judgments_in_order(store)
            known = Known.of(store)
            pairs = {pair.id: pair for pair in known.pairs}
            parts = votes_parts(store, given, pairs, names=wanted.names)
            return parts, judged_parts(store, known), Counter()
        known = Known.of(store)
        parts, drops = settled_parts(
            store,
            known,
            shape,
            judge_votes=wanted.judge_votes,
            run_id=run_id,
            now=utc_now(),
        )
        judged = judged_parts(store, known) if shape is Format.DPO else {}
        return parts, judged, drops


class _Writing:
    """Tells how far the writing is."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def watching(self, portions: Iterable[list[Row]]) -> Iterator[list[Row]]:
        """The same rows; each portion is told once the next one is asked for."""
        for rows in portions:
            yield rows
            self._done += len(rows)
            if self._progress is not None:
                self._progress(self._done, self._total)


def _lineage(store: Store, used: set[str]) -> list[str]:
    sources = [p for p in imported_policies(store) if p.id in used]
    return [
        f"| {p.round} | `{p.id}` | {p.method} | {p.base_model} |"
        for p in [*policies(store), *sources]
    ]
