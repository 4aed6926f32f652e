"""`pairloop import`: votes and answers that other people and models gave elsewhere."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pairloop.options import Json, WorkspaceDir
from storage.words import many

if TYPE_CHECKING:
    from pairloop.imports.gather import Tally
    from pairloop.imports.stage import Source

LAYOUTS = (
    "votes, hh-rlhf, ultrafeedback, helpsteer2, helpsteer3, summarize, argilla, labelstudio, "
    "arena, or auto to go by the columns"
)


def register(app: typer.Typer) -> None:
    """Add the command to the front door."""
    app.command("import")(import_)


def import_(
    layout: Annotated[str, typer.Argument(help=f"How the files are laid out: {LAYOUTS}.")],
    files: Annotated[
        list[str],
        typer.Argument(help="JSONL, JSON, CSV or Parquet files (also .gz), or hf:owner/name."),
    ],
    *,
    workspace: WorkspaceDir = Path(),
    people: Annotated[
        str,
        typer.Option(
            help="Whose people the annotators are; the same name in two imports is one person "
            "(default: the layout)."
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Take in votes and candidate answers from elsewhere. They are kept apart as off-policy."""
    from pairloop.imports.settle import settle_imported
    from pairloop.imports.stage import import_files, sources_of
    from pairloop.workspace import open_workspace

    space = open_workspace(workspace)
    sources = sources_of(files, layout)
    with space.store() as store:
        tally = import_files(store, space.generate, sources, dataset=people)
        settled = settle_imported(store, space.annotate)
    if as_json:
        print(json.dumps(tally.as_dict() | {"settled": settled}))
        return
    for line in told(tally, sources):
        print(line)
    print(f"{closing(tally)} Next: {next_step(tally)}")


def told(tally: "Tally", sources: Sequence["Source"]) -> list[str]:
    """What became of the rows, one sentence a line."""
    names = ", ".join(f"{source.title} as {source.layout.name}" for source in sources)
    lines = [
        f"Read {names}: {many(tally.votes, 'vote')}, {many(tally.candidates, 'prompt')} with candidates."
    ]
    if tally.changed_minds:
        lines.append(
            f"Changed minds: {many(tally.changed_minds, 'later vote')} on the same pair; the last counts."
        )
    if tally.duplicates:
        lines.append(f"Not stored, being as the one before: {many(tally.duplicates, 'vote')}.")
    if tally.identical:
        lines.append(
            f"{many(tally.identical, 'vote is', 'votes are')} on equal answers of two models; such votes count for "
            "agreement and are never exported."
        )
    if tally.already_there:
        lines.append(f"There already: {many(tally.already_there, 'vote')}.")
    if tally.left_out:
        reasons = ", ".join(f"{n} ({why})" for why, n in tally.left_out.most_common())
        lines.append(f"Left out: {reasons}.")
    return lines


def closing(tally: "Tally") -> str:
    """What was stored."""
    new = tally.stored
    return (
        f"Imported {many(new['judgment'], 'vote')} of {many(new['labeler'], 'new labeler')}, {many(new['pair'], 'pair')}, "
        f"{many(new['response'], 'answer')} and {many(new['prompt'], 'prompt')}, kept apart as off-policy."
    )


def next_step(tally: "Tally") -> str:
    """What to run next."""
    return "pairloop agreement" if tally.votes or not tally.candidates else "pairloop annotate"
