"""The verb: read files, refuse all of them if one row is wrong, append what the store lacks.

Every row is read, checked and encoded before the first is stored. Parents are appended before
children, in batches; the judgments come last, in one statement, so that votes are there all or not
at all. What an interrupted import stored is found and kept by the next one.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from generate.config import GenerateConfig
from generate.prompts import refusal
from generate.rows import rows
from pairloop.imports.encode import labeler_name, labeler_record
from pairloop.imports.found import Candidates, Found, LeftOut, Problem, Vote
from pairloop.imports.gather import Gatherer, Tally
from pairloop.imports.layouts import Layout, layout_of
from pairloop.imports.spool import Spool
from storage.codec import TABLES, Record
from storage.errors import ConflictError
from storage.imports import first_responses, imported_policies, last_revisions, unknown_ids
from storage.judgments import labelers
from storage.records import (
    Judgment,
    LabelerKind,
    Pair,
    Policy,
    Presentation,
    Prompt,
    Response,
)
from storage.store import Store, utc_now

MAX_KEPT = 1000
PARENTS_FIRST: tuple[type[Record], ...] = (Prompt, Policy, Response, Pair, Presentation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file (or Hub dataset) and how it is read."""

    name: str
    layout: Layout

    def found(self) -> Iterator[Found]:
        """Everything in it, in order."""
        return self.layout.read(rows(self.name))

    @property
    def title(self) -> str:
        """What its prompts say they come from."""
        return Path(self.name).name


@dataclass(kw_only=True)
class Problems:
    """The first problems and the number of all: a million bad rows must not fill the memory."""

    first: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, where: str, says: str) -> None:
        self.count += 1
        if len(self.first) < MAX_KEPT:
            self.first.append(f"{where}: {says}")


def sources_of(files: Sequence[str], layout: str) -> list[Source]:
    """The files with their layouts; raises InputError where one is not clear."""
    return [Source(name=file, layout=layout_of(layout, file)) for file in files]


def import_files(
    store: Store, config: GenerateConfig, sources: Sequence[Source], *, dataset: str = ""
) -> Tally:
    """Store the votes and candidates of the files; nothing where one row can't be used.

    dataset: whose people the annotators are, where it is not the layout's name.
    """
    now = utc_now()
    # Beside the database, where it is a file: the rows are as large as it will be, and as private.
    with tempfile.TemporaryDirectory(prefix=".pairloop-import-", dir=store.folder) as at:
        spool = Spool(Path(at))
        gatherer = Gatherer(spool, config, firsts=first_responses(store), now=now)
        people = gather(sources, gatherer, dataset=dataset)
        with store.connected():
            known = labelers(store)
            for name, kind in people.items():
                there = known.get(name)
                if there and (there.active or there.password_hash or there.kind is not kind):
                    raise ConflictError(
                        f"{name!r} is an account of this workspace, so votes can't be imported "
                        "under that name. Give the annotators another name with --people."
                    )
            new = [labeler_record(n, k, now=now) for n, k in people.items() if n not in known]
            store.append(new)
            gatherer.tally.stored["labeler"] = len(new)
            _append(store, spool, gatherer.tally)
    return gatherer.tally


def gather(
    sources: Sequence[Source], gatherer: Gatherer, *, dataset: str
) -> dict[str, LabelerKind]:
    """Everybody who votes in the files; raises InputError with every row that can't be used."""
    problems = Problems()
    people: dict[str, LabelerKind] = {}
    for source in sources:
        nothing, title = True, source.title
        for found in source.found():
            nothing = False
            match found:
                case Problem():
                    problems.add(found.where, found.says)
                case Vote():
                    name = labeler_name(dataset or source.layout.name, found.annotator)
                    if people.setdefault(name, found.kind) is not found.kind:
                        problems.add(found.where, f"{found.annotator!r} is a person and a model")
                    if not problems.count:
                        gatherer.add_vote(found, labeler=name, source=title)
                case Candidates():
                    if not problems.count:
                        gatherer.add_candidates(found, source=title)
                case LeftOut():
                    gatherer.tally.left_out[found.reason] += 1
        if nothing:
            problems.add(source.name, "the file holds nothing to import")
    if problems.count:
        raise refusal(
            problems.first, problems.count, hint="Known layouts and columns: docs/import.md."
        )
    gatherer.flush()
    return people


def _append(store: Store, spool: Spool, tally: Tally) -> None:
    with store.connected() as connection:
        # Policies come before what has them: without one, nothing but prompts can be there yet.
        first_time = not imported_policies(store)
        for kind in PARENTS_FIRST:
            for table in spool.read(kind):
                new = table if first_time and kind is not Prompt else _unknown(store, kind, table)
                if new.num_rows:
                    connection.append(TABLES[kind], new)
                tally.stored[kind.__name__.lower()] += new.num_rows
        fresh = []
        for table in spool.read(Judgment):
            new = table if first_time else _unknown(store, Judgment, table)
            tally.already_there += table.num_rows - new.num_rows
            fresh.append(new if first_time else _after_earlier(store, new))
        if fresh and (judgments := pa.concat_tables(fresh)).num_rows:
            connection.append(TABLES[Judgment], judgments)
            tally.stored["judgment"] = judgments.num_rows


def _unknown(store: Store, kind: type[Record], table: pa.Table) -> pa.Table:
    """The rows whose ids the store does not have."""
    new = unknown_ids(store, kind, table["id"].to_pylist())
    if len(new) == table.num_rows:
        return table
    return table.filter(pc.is_in(table["id"], value_set=pa.array(sorted(new), type=pa.string())))


def _after_earlier(store: Store, table: pa.Table) -> pa.Table:
    """The judgments, with revisions above those of earlier imports on the same pairs."""
    keys = list(zip(table["pair_id"].to_pylist(), table["labeler"].to_pylist(), strict=True))
    before = last_revisions(store, keys)
    if not before:
        return table
    revisions = [
        before.get(key, -1) + 1 + number
        for key, number in zip(keys, table["revision"].to_pylist(), strict=True)
    ]
    at = table.schema.get_field_index("revision")
    return table.set_column(at, table.schema.field(at), pa.array(revisions, type=pa.int64()))
