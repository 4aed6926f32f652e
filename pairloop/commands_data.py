"""Commands about what is in a workspace: init, prompts, status."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pairloop.options import Json, WorkspaceDir
from storage.words import many

prompts_app = typer.Typer(help="The prompts that the policies answer.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands to the front door."""
    app.command("init")(init)
    app.add_typer(prompts_app, name="prompts")
    app.command("status")(status)


def init(
    directory: Annotated[Path, typer.Argument(help="Folder of the workspace.")] = Path(),
    *,
    model: Annotated[
        str, typer.Option(help="The SFT model: a Hub id (owner/name) or a path.  [required]")
    ] = "",
) -> None:
    """Make a workspace: pairloop.toml, guidelines.md, a database."""
    from pairloop.workspace import init_workspace

    if not model:
        raise typer.BadParameter(
            "Name your SFT model: --model OWNER/NAME (a Hub id), or --model PATH. To try the loop "
            "without one: pairloop demo",
            param_hint="--model",
        )
    workspace, new = init_workspace(directory, model=model)
    made = "Made" if new else "Already there, left as it is:"
    where = "" if directory == Path() else f" --workspace {directory}"
    print(f"{made} {workspace.root}. Next: pairloop prompts add FILE{where}")


@prompts_app.command("add")
def prompts_add(
    files: Annotated[
        list[str],
        typer.Argument(
            help="JSONL, JSON, CSV or Parquet files (also .gz), or hf:owner/name[:split]."
        ),
    ],
    *,
    workspace: WorkspaceDir = Path(),
    skip_duplicates: Annotated[
        bool, typer.Option("--skip-duplicates", help="Leave out prompts the files repeat.")
    ] = False,
    layout: Annotated[
        str,
        typer.Option(
            help="Read just the prompts of a layout that `pairloop import` knows, or auto."
        ),
    ] = "",
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="KEY=COLUMN", help="Read this column as prompt, messages, system, ..."
        ),
    ] = None,
    decontaminate: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Leave out prompts that occur in this file."),
    ] = None,
) -> None:
    """Add prompts; those already there are left as they are."""
    from generate.prompts import columns_of, read_prompts
    from pairloop.imports.prompts import read_layout_prompts
    from pairloop.prompt_adding import near_prompts, say_near, without_listed
    from pairloop.workspace import open_workspace
    from storage.errors import InputError
    from storage.prompts import prompts
    from storage.store import utc_now

    space = open_workspace(workspace)
    if layout and columns:
        raise InputError("--layout knows its columns: leave out --map, or --layout.")
    if layout:
        found = read_layout_prompts(files, layout, space.generate, now=utc_now())
    else:
        found = read_prompts(
            files,
            validation_share=space.generate.validation_share,
            test_share=space.generate.test_share,
            now=utc_now(),
            skip_duplicates=skip_duplicates,
            columns=columns_of(columns or []),
        )
    with space.store() as store:
        known = prompts(store)
        kept = without_listed(found, known, decontaminate or [])
        there = {p.id for p in known}
        new = [p for p in kept if p.id not in there]
        store.append(new)
    say_near(near_prompts(known, new))
    splits = ", ".join(
        f"{sum(p.split == split for p in new)} {split}" for split in ("train", "validation", "test")
    )
    print(
        f"Added {many(len(new), 'prompt')} ({splits}), {many(len(kept) - len(new), 'was', 'were')} there already. "
        "Next: pairloop generate"
    )


@prompts_app.command("near")
def prompts_near(*, workspace: WorkspaceDir = Path(), as_json: Json = False) -> None:
    """List the prompts that nearly repeat an earlier one."""
    from pairloop.prompt_adding import near_prompts, say_near
    from pairloop.workspace import open_workspace
    from storage.prompts import prompts

    with open_workspace(workspace).store() as store:
        stored = prompts(store)
    found = near_prompts([], stored)
    if as_json:
        print(json.dumps([n.as_dict() for n in found]))
        return
    say_near(found, shown=len(found))
    print(
        f"{len(found)} of {many(len(stored), 'prompt')} nearly repeating an earlier one. Next: pairloop generate"
    )


def status(*, workspace: WorkspaceDir = Path(), as_json: Json = False) -> None:
    """Where the loop stands, per round, and what to do next."""
    from pairloop.status import loop_status
    from pairloop.workspace import open_workspace

    space = open_workspace(workspace)
    with space.store() as store:
        state = loop_status(store, space)
    if as_json:
        print(json.dumps(asdict(state)))
        return
    from pairloop.report import status_table

    status_table(state)
    if state.rule:
        print(f"Rule: {state.rule}")
    print(f"Next: {state.next_step}")
