"""Importing in tests: files by hand, and what the store then says, in the file's own words."""

import json
from collections.abc import Sequence
from pathlib import Path

from factories import open_store

from annotate.config import AnnotateConfig
from generate.config import GenerateConfig
from pairloop.imports.gather import Tally
from pairloop.imports.settle import settle_imported
from pairloop.imports.stage import import_files, sources_of
from storage.prompts import prompts
from storage.records import Side
from storage.store import Store

CONFIG = GenerateConfig(model="test/model")


def write_jsonl(path: Path, *rows: object) -> Path:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def bring_in(store: Store, layout: str, *files: Path, people: str = "") -> Tally:
    with store.connected():
        sources = sources_of([str(f) for f in files], layout)
        tally = import_files(store, CONFIG, sources, dataset=people)
        settle_imported(store, AnnotateConfig())
    return tally


def store_at(folder: Path) -> Store:
    folder.mkdir(parents=True, exist_ok=True)
    return open_store(folder)


def votes_table(store: Store) -> list[dict[str, object]]:
    """The votes as a table for `pairloop import votes`: a is what stood on the left."""
    with store.connected() as connection:
        rows = connection.query(
            """
            select p.prompt_id, f.text as first_text, s.text as second_text,
                fp.base_model as first_model, sp.base_model as second_model,
                j.labeler, j.verdict, j.strength, j.seconds, j.rationale, j.created_at,
                n.first_side, l.kind
            from judgments as j
            inner join pairs as p on p.id = j.pair_id
            inner join responses as f on f.id = p."first"
            inner join responses as s on s.id = p."second"
            inner join policies as fp on fp.id = f.policy_id
            inner join policies as sp on sp.id = s.policy_id
            inner join labelers as l on l.name = j.labeler
            left join presentations as n on n.id = j.presentation_id
            order by j.created_at, j.id
            """,
            {},
        ).to_pylist()
    texts = {p.id: [m.as_dict() for m in p.messages] for p in prompts(store)}
    return [_row(row, texts[row["prompt_id"]]) for row in rows]


def _row(row: dict, messages: Sequence[dict]) -> dict[str, object]:
    a, b = ("second", "first") if row["first_side"] == Side.RIGHT else ("first", "second")
    choice = {a: "a", b: "b"}.get(row["verdict"], row["verdict"])
    return {
        "messages": messages,
        "response_a": row[f"{a}_text"],
        "response_b": row[f"{b}_text"],
        "model_a": row[f"{a}_model"],
        "model_b": row[f"{b}_model"],
        "annotator_id": row["labeler"].split(":", 2)[2],
        "annotator_kind": row["kind"],
        "choice": choice,
        "strength": row["strength"],
        "seconds": row["seconds"],
        "rationale": row["rationale"],
        "created_at": row["created_at"].isoformat(),
    }
