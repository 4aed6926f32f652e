"""`pairloop import`: votes and answers that other people and models gave elsewhere."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pairloop.options import Json, WorkspaceDir

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
    """Take in votes and candidate answers from elsewhere; they are kept apart as off-policy."""
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
    lines = [f"Read {names}: {tally.votes} votes, {tally.candidates} prompts with candidates."]
    if tally.changed_minds:
        lines.append(
            f"{tally.changed_minds} votes change an earlier one on the same pair; the last counts."
        )
    if tally.duplicates:
        lines.append(f"{tally.duplicates} votes repeat the one before them and were not stored.")
    if tally.identical:
        lines.append(
            f"{tally.identical} votes are on equal answers of two models; they count for "
            "agreement and are never exported."
        )
    if tally.already_there:
        lines.append(f"{tally.already_there} votes were there already.")
    if tally.left_out:
        reasons = ", ".join(f"{n} ({why})" for why, n in tally.left_out.most_common())
        lines.append(f"Left out: {reasons}.")
    return lines


def closing(tally: "Tally") -> str:
    """What was stored."""
    new = tally.stored
    return (
        f"Imported {new['judgment']} votes of {new['labeler']} new labelers, {new['pair']} pairs, "
        f"{new['response']} answers and {new['prompt']} prompts, kept apart as off-policy."
    )


def next_step(tally: "Tally") -> str:
    """What to run next."""
    return "pairloop agreement" if tally.votes or not tally.candidates else "pairloop annotate"
