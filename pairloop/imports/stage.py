"""The verb: read files, refuse all of them if one row is wrong, append what the store lacks.

Files are read twice: once to find every problem before anything is stored, once to store. Parents
are appended before children, in batches; the judgments come last, in one statement, so that votes
are there all or not at all. What an interrupted import stored is found and kept by the next one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from generate.config import GenerateConfig
from generate.prompts import MAX_REPORTED, refusal
from generate.rows import rows
from pairloop.imports.batch import Batch, Tally
from pairloop.imports.encode import labeler_name, labeler_record
from pairloop.imports.found import Candidates, Found, LeftOut, Problem, Vote
from pairloop.imports.layouts import Layout, layout_of
from storage.errors import ConflictError, InputError
from storage.judgments import labelers
from storage.records import LabelerKind
from storage.store import Store, utc_now

BATCH = 5000  # votes or candidates between two appends: some 20 MB of ordinary answers


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


def sources_of(files: Sequence[str], layout: str) -> list[Source]:
    """The files with their layouts; raises InputError where one is not clear."""
    return [Source(name=file, layout=layout_of(layout, file)) for file in files]


def import_files(
    store: Store, config: GenerateConfig, sources: Sequence[Source], *, dataset: str = ""
) -> Tally:
    """Store the votes and candidates of the files; nothing where one row can't be used.

    dataset: whose people the annotators are, where it is not the layout's name.
    """
    people = check(sources, dataset=dataset)
    now = utc_now()
    with store.connected():
        known = labelers(store)
        for name, kind in people.items():
            there = known.get(name)
            if there and (there.active or there.password_hash or there.kind is not kind):
                raise ConflictError(
                    f"{name!r} is an account of this workspace, so votes can't be imported under "
                    "that name. Give the annotators another data set's name with --people."
                )
        new = [labeler_record(n, k, now=now) for n, k in people.items() if n not in known]
        batch = Batch(store, config, now=now)
        store.append(new)
        batch.tally.stored["labeler"] = len(new)
        waiting = 0
        for source in sources:
            for found in source.found():
                _take(batch, found, source, dataset=dataset)
                waiting += 1
                if waiting == BATCH:
                    batch.flush()
                    waiting = 0
        batch.finish()
    return batch.tally


def check(sources: Sequence[Source], *, dataset: str = "") -> dict[str, LabelerKind]:
    """Everybody who votes in the files; raises InputError with every row that can't be used."""
    problems: list[str] = []
    count = 0
    people: dict[str, LabelerKind] = {}

    def report(where: str, says: str) -> None:
        nonlocal count
        count += 1
        if len(problems) < MAX_REPORTED:  # a million bad rows must not fill the memory
            problems.append(f"{where}: {says}")

    for source in sources:
        nothing = True
        for found in source.found():
            nothing = False
            match found:
                case Problem():
                    report(found.where, found.says)
                case Vote():
                    name = _labeler(found, source, dataset=dataset)
                    if people.setdefault(name, found.kind) is not found.kind:
                        report(found.where, f"{found.annotator!r} is a person and a model")
                case Candidates() | LeftOut():
                    pass
        if nothing:
            report(source.name, "the file holds nothing to import")
    if count:
        raise refusal(problems, count, hint="Known layouts and columns: docs/import.md.")
    return people


def _take(batch: Batch, found: Found, source: Source, *, dataset: str) -> None:
    match found:
        case Vote():
            labeler = _labeler(found, source, dataset=dataset)
            batch.add_vote(found, labeler=labeler, source=source.title)
        case Candidates():
            batch.add_candidates(found, source=source.title)
        case LeftOut():
            batch.tally.left_out[found.reason] += 1
        case Problem():
            raise InputError(f"{found.where} changed while it was read: {found.says}")


def _labeler(vote: Vote, source: Source, *, dataset: str) -> str:
    return labeler_name(dataset or source.layout.name, vote.annotator)
