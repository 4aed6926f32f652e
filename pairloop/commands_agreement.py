"""`pairloop agreement`: how far people agree, in the terminal, as JSON, as HTML, and of one pair."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pairloop.options import Json, WorkspaceDir
from storage.words import many

if TYPE_CHECKING:
    from annotate.slices import Dimension


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("agreement")(agreement)


def agreement(
    *,
    workspace: WorkspaceDir = Path(),
    pair: Annotated[
        str, typer.Option(help="Tell one pair's story instead: who said what of it.", metavar="ID")
    ] = "",
    by: Annotated[
        str,
        typer.Option(
            help="Show slices by tag, round, purpose, policy, policies, temperature, length, longest, "
            "time or guidelines instead of those that differ most.",
            metavar="WHAT",
        ),
    ] = "",
    html: Annotated[
        Path | None,
        typer.Option(help="Write the whole report with its plots to one file.", metavar="OUT"),
    ] = None,
    anonymous: Annotated[
        bool,
        typer.Option(
            "--anonymous", help="Number labelers instead of naming them, and quote no prompt."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """How much labelers agree, over all rounds, and how sure that is."""
    from annotate.report_data import anonymous as without_names
    from annotate.report_data import as_json as plain
    from annotate.report_data import full_report
    from annotate.report_html import MARK, report_html
    from annotate.settings import in_force
    from pairloop.agreement_text import agreement_text
    from pairloop.pair_story import read_story, story_json, story_text
    from pairloop.report import model_table
    from pairloop.report_file import check_place, write_report
    from pairloop.workspace import open_workspace
    from storage.store import utc_now

    space = open_workspace(workspace)
    if pair:
        with space.store() as store:
            story = read_story(store, in_force(store, space.annotate), pair)
        if as_json:
            print(json.dumps(story_json(story)))
        else:
            story_text(story)
        return
    dimension = _dimension(by)
    if html is not None:
        check_place(html, mark=MARK)
    with space.store() as store:
        config = in_force(store, space.annotate)
        with_quality = as_json or html is not None
        full = full_report(store, config, now=utc_now(), with_quality=with_quality)
    if anonymous:
        full = without_names(full)
    if html is not None:
        write_report(html, report_html(full))
    if as_json:
        print(json.dumps(plain(full)))
        return
    report = full.agreement
    counted = f"{many(report.judgments, 'judgment')} on {many(report.pairs, 'pair')}."
    if html is not None:
        print(f"Wrote the report on {counted[:-1]} to {html}. Next: open it in a browser")
        return
    agreement_text(full, dimension)
    for row in full.models:
        model_table(row)
    print(f"{counted} Next: pairloop status")


def _dimension(name: str) -> "Dimension | None":
    from difflib import get_close_matches

    from annotate.slices import Dimension
    from storage.errors import InputError

    if not name:
        return None
    known = [d.value for d in Dimension]
    if name not in known:
        near = get_close_matches(name, known, 1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise InputError(
            f"Votes cannot be sliced by {name!r}.{meant} --by takes one of: {', '.join(known)}."
        )
    return Dimension(name)
