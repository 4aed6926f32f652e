"""Everything a report on disagreement holds, as plain values: read once, shown in many forms."""

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from importlib.metadata import version
from typing import Any, TypeVar

import numpy as np
import pyarrow.compute as pc

from annotate.agreement import (
    AgreementReport,
    Matrix,
    counted_votes,
    report_on,
    votes_to_count,
)
from annotate.config import Distribution
from annotate.judge_agreement import ModelRow, model_rows
from annotate.quality import Quality, quality_of
from annotate.slices import Period, Slices, over_time, slices_of
from annotate.stats.votes import BOTH_BAD, FIRST, SECOND, TIE
from annotate.votes_table import VotesTable, votes_of_table
from storage.judges import model_judgments
from storage.judgments import labelers
from storage.records import IMPORTED_VOTES, LabelerKind, Purpose
from storage.slices import (
    Standing,
    consensus_counts,
    judgments_not_counted,
    pair_facts,
    prompt_excerpts,
    vote_guidelines,
)
from storage.store import Store

T = TypeVar("T")

DISPUTED = 20
EXCERPT = 160  # characters of a disputed pair's prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Disputed:
    """A pair that people differ on, with its votes by verdict. excerpt: "" where it is withheld."""

    pair_id: str
    round: int
    excerpt: str
    first: int
    second: int
    tie: int
    both_bad: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FullReport:
    """left_out: judgments that do not enter the figures, by reason. quality: None where not asked.

    imported: of the judgments counted, those made elsewhere: how the answers stood is not known.
    """

    agreement: AgreementReport
    imported: int
    left_out: dict[str, int]
    over_time: list[Period]
    slices: Slices
    disputed: list[Disputed]
    standings: list[Standing]
    models: list[ModelRow]
    quality: Quality | None
    versions: dict[str, str]
    made_at: datetime


def full_report(
    store: Store, config: Distribution, *, now: datetime, with_quality: bool = True
) -> FullReport:
    """Read and work out all of it; the models of quality take longest."""
    with store.connected():
        votes = votes_to_count(store)
        counted = counted_votes(votes, config)
        purposes = [Purpose.TRAIN, Purpose.EVALUATION]
        seen = votes_of_table(counted.table)
        report = report_on(seen, counted.table)
        judges = any(who.kind is LabelerKind.MODEL for who in labelers(store).values())
        disputed = _disputed(seen)
        excerpts = prompt_excerpts(store, [d.pair_id for d in disputed], chars=EXCERPT + 1)
        return FullReport(
            agreement=report,
            imported=pc.sum(pc.equal(counted.table["strategy"], IMPORTED_VOTES)).as_py() or 0,
            left_out=judgments_not_counted(store) | counted.left_out,
            over_time=over_time(seen, counted.table),
            slices=slices_of(
                seen, counted.table, pair_facts(store, purposes=purposes), vote_guidelines(store)
            ),
            disputed=[
                replace(d, round=number, excerpt=_cut(words))
                for d in disputed
                for number, words in [excerpts[d.pair_id]]
            ],
            standings=consensus_counts(store),
            models=model_rows(model_judgments(store), votes) if judges else [],
            quality=quality_of(store, config, known=(votes, report)) if with_quality else None,
            versions={name: version(name) for name in ("pairloop", "duckdb", "numpy")}
            | {"python": platform.python_version()},
            made_at=now,
        )


def anonymous(full: FullReport) -> FullReport:
    """The same without anybody's name or any prompt's words; labeler 1 gave the most votes.

    Models keep their names: they are nobody's.
    """
    ordered = sorted(full.agreement.labelers, key=lambda p: (-p.votes, p.labeler))
    quality = full.quality
    people = max(len(ordered), len(quality.labelers) if quality is not None else 0)

    def numbered(i: int) -> str:
        return f"labeler {i:0{len(str(people))}}"

    names = {p.labeler: numbered(i) for i, p in enumerate(ordered, start=1)}
    if quality is not None:
        for one in quality.labelers:  # whoever gave tie-breaking votes alone
            names.setdefault(one.labeler, numbered(len(names) + 1))
        renamed = [replace(one, labeler=names[one.labeler]) for one in quality.labelers]
        quality = replace(quality, labelers=renamed)
    agreement = replace(
        full.agreement,
        labelers=[replace(p, labeler=names[p.labeler]) for p in ordered],
        matrix=_renamed(full.agreement.matrix, names),
    )
    disputed = [replace(d, excerpt="") for d in full.disputed]
    return replace(full, agreement=agreement, quality=quality, disputed=disputed)


def _renamed(matrix: Matrix, names: Mapping[str, str]) -> Matrix:
    """In the order of the new names: that of the old ones would tell who is who."""
    order = sorted(range(len(matrix.labelers)), key=lambda i: names[matrix.labelers[i]])

    def turned(rows: list[list[T]]) -> list[list[T]]:
        return [[rows[i][j] for j in order] for i in order]

    return Matrix(
        labelers=[names[matrix.labelers[i]] for i in order],
        shared=turned(matrix.shared),
        agreement=turned(matrix.agreement),
        kappa=turned(matrix.kappa),
    )


def as_json(full: FullReport) -> dict[str, Any]:
    """Plain values; the agreement figures stand at the top."""
    return asdict(full.agreement) | {
        "imported": full.imported,
        "left_out": full.left_out,
        "over_time": [_timed(asdict(p)) for p in full.over_time],
        "slices": {d.value: [asdict(s) for s in found] for d, found in full.slices.by.items()},
        "slices_left_out": {d.value: n for d, n in full.slices.left_out.items()},
        "slices_tested": full.slices.tested,
        "disputed": [asdict(d) for d in full.disputed],
        "consensus": [asdict(s) for s in full.standings],
        "quality": None if full.quality is None else asdict(full.quality),
        "models": [asdict(row) for row in full.models],
        "versions": full.versions,
        "made_at": full.made_at.isoformat(),
    }


def _cut(words: str) -> str:
    """On one line, with a sign where something is missing."""
    shown = " ".join(words[:EXCERPT].split())
    return f"{shown}\u2026" if len(words) > EXCERPT else shown


def _timed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in row.items()}


def _disputed(seen: VotesTable) -> list[Disputed]:
    """The pairs whose votes agree least, those with more votes first."""
    counts = seen.votes.counts()
    n_P = counts.sum(axis=1)
    meeting = np.maximum(n_P * (n_P - 1), 1)
    agreed_P = (counts * (counts - 1)).sum(axis=1) / meeting
    some = np.flatnonzero((n_P >= 2) & (agreed_P < 1))
    order = some[np.lexsort((some, -n_P[some], agreed_P[some]))][:DISPUTED]
    return [
        Disputed(
            pair_id=seen.pair_ids[p],
            round=0,
            excerpt="",
            first=int(counts[p, FIRST]),
            second=int(counts[p, SECOND]),
            tie=int(counts[p, TIE]),
            both_bad=int(counts[p, BOTH_BAD]),
        )
        for p in order
    ]
