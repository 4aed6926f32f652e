"""`pairloop repair`: go on with what is whole after the log beside the database was damaged."""

import json
from pathlib import Path

import typer

from pairloop.options import Json, WorkspaceDir
from storage.words import many


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("repair")(repair)


def repair(
    *,
    workspace: WorkspaceDir = Path(),
    as_json: Json = False,
) -> None:
    """Set a damaged log of the database aside. What was stored before the damage is kept."""
    from pairloop.workspace import open_workspace
    from storage.damage import set_aside
    from storage.errors import DamagedError, InputError
    from storage.judgments import judgment_events

    space = open_workspace(workspace)
    if not isinstance(space.database, Path):
        raise InputError(
            f"{space.database} has no log of ours to repair: PostgreSQL keeps its own."
        )
    kept_as, unreadable = "", 0
    while True:
        try:
            with space.store() as store:
                judgments = len(judgment_events(store))
            break
        except DamagedError as error:
            copy, cut = set_aside(space.database, error.at)
            kept_as, unreadable = kept_as or str(copy), unreadable + cut
    if as_json:
        found = {"judgments": judgments, "kept_as": kept_as, "unreadable_bytes": unreadable}
        print(json.dumps(found))
        return
    if not kept_as:
        print(f"Nothing is damaged: {many(judgments, 'judgment')}. Next: pairloop status")
        return
    print(
        f"{many(judgments, 'judgment is', 'judgments are')} there. The last {many(unreadable, 'byte')} of the log could not be read: "
        f"what was stored in them is gone from here, and the damaged log is kept as {kept_as}. "
        "Compare with a backup if you have one. Next: pairloop status"
    )
