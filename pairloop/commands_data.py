"""Commands about what is in a workspace: init, prompts, agreement, export, status."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pairloop.options import Json, WorkspaceDir

prompts_app = typer.Typer(help="The prompts that the policies answer.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands to the front door."""
    app.command("init")(init)
    app.add_typer(prompts_app, name="prompts")
    app.command("agreement")(agreement)
    app.command("export")(export)
    app.command("status")(status)


def init(
    directory: Annotated[Path, typer.Argument(help="Folder of the workspace.")] = Path(),
    *,
    model: Annotated[str, typer.Option(help="The SFT model: a Hub id (owner/name) or a path.")],
) -> None:
    """Make a workspace: pairloop.toml, guidelines.md and the database."""
    from pairloop.workspace import init_workspace

    workspace, new = init_workspace(directory, model=model)
    made = "Made" if new else "Already there, left as it is:"
    print(f"{made} {workspace.root}. Next: pairloop prompts add FILE --workspace {directory}")


@prompts_app.command("add")
def prompts_add(
    files: Annotated[
        list[str], typer.Argument(help="JSONL, CSV or Parquet files, or hf:owner/name[:split].")
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
) -> None:
    """Add prompts; those already there are left as they are."""
    from generate.prompts import read_prompts
    from pairloop.imports.prompts import read_layout_prompts
    from pairloop.workspace import open_workspace
    from storage.prompts import prompt_ids
    from storage.store import utc_now

    space = open_workspace(workspace)
    if layout:
        found = read_layout_prompts(files, layout, space.generate, now=utc_now())
    else:
        found = read_prompts(
            files,
            validation_share=space.generate.validation_share,
            test_share=space.generate.test_share,
            now=utc_now(),
            skip_duplicates=skip_duplicates,
        )
    with space.store() as store, store.connected():
        known = prompt_ids(store)
        new = [p for p in found if p.id not in known]
        store.append(new)
    splits = ", ".join(
        f"{sum(p.split == split for p in new)} {split}" for split in ("train", "validation", "test")
    )
    print(
        f"Added {len(new)} prompts ({splits}), {len(found) - len(new)} were there already. "
        "Next: pairloop generate"
    )


def agreement(
    *,
    workspace: WorkspaceDir = Path(),
    pair: Annotated[
        str, typer.Option(help="Tell one pair's story instead: who said what of it.", metavar="ID")
    ] = "",
    as_json: Json = False,
) -> None:
    """How much labelers agree, over all rounds, and how sure that is."""
    from annotate.agreement import agreement_report
    from annotate.judge_agreement import model_rows
    from annotate.settings import in_force
    from pairloop.agreement_text import agreement_text
    from pairloop.pair_story import read_story, story_json, story_text
    from pairloop.report import model_table
    from pairloop.workspace import open_workspace

    space = open_workspace(workspace)
    if pair:
        with space.store() as store:
            story = read_story(store, in_force(store, space.annotate), pair)
        if as_json:
            print(json.dumps(story_json(story)))
        else:
            story_text(story)
        return
    with space.store() as store:
        report = agreement_report(store, in_force(store, space.annotate))
        models = model_rows(store)
    if as_json:
        print(json.dumps(asdict(report) | {"models": [asdict(row) for row in models]}))
        return
    agreement_text(report)
    for row in models:
        model_table(row)
    print(f"{report.judgments} judgments on {report.pairs} pairs. Next: pairloop status")


def export(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    *,
    workspace: WorkspaceDir = Path(),
) -> None:
    """Write settled pairs as a dataset: Parquet, JSONL and a card."""
    from annotate.agreement import agreement_report
    from annotate.consensus import settle
    from annotate.settings import in_force
    from pairloop.agreement_text import agreement_lines
    from pairloop.workspace import open_workspace
    from train.export import export as write

    space = open_workspace(workspace)
    with space.store() as store:
        config = in_force(store, space.annotate)
        settle(store, config)
        lines = agreement_lines(agreement_report(store, config))
        done = write(
            store,
            out,
            agreement="\n".join(f"- {line}" for line in lines),
            judge_votes=space.train.judge_votes,
        )
    rows = ", ".join(f"{n} {split}" for split, n in done.rows.items())
    drops = ", ".join(f"{n} {why.replace('_', ' ')}" for why, n in done.drops.items()) or "none"
    print(f"Left out: {drops}.")
    print(
        f"Wrote {rows} preferences and {sum(done.judged.values())} judged pairs to {out}. "
        f'Next: datasets.load_dataset("{out}"), or with "judged" after it for every judged pair'
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
    print(f"Next: {state.next_step}")
