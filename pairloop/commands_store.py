"""Commands about where the rows are: backup, restore, move, compact."""

from pathlib import Path
from typing import Annotated

import typer

from pairloop.options import WorkspaceDir
from storage.words import many

store_app = typer.Typer(help="Back up, restore and move the stored rows.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands to the front door."""
    app.add_typer(store_app, name="store")


@store_app.command("backup")
def backup(
    out: Annotated[Path, typer.Argument(help="The new file, a DuckDB database.")],
    *,
    workspace: WorkspaceDir = Path(),
) -> None:
    """Copy all rows to a file, also while the labeling server runs."""
    from pairloop.workspace import open_workspace
    from storage import copying

    with open_workspace(workspace).store() as store:
        rows = copying.backup(store, out)
    print(
        f"Wrote {many(rows, 'row')} to {out}. Adapters are files: copy policies/ and {workspace}/*.toml too. "
        f"Next: pairloop store restore {out} --workspace EMPTY"
    )


@store_app.command("restore")
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `pairloop store backup` made.")],
    *,
    workspace: WorkspaceDir = Path(),
) -> None:
    """Fill this workspace's empty store with a backup's rows."""
    from pairloop.workspace import open_workspace
    from storage import copying

    space = open_workspace(workspace)
    with copying.opened_backup(file) as source, space.store() as store:
        rows = copying.fill(store, source)
    what = f"Restored {many(rows, 'row')}" if rows else "These rows are there already"
    print(f"{what} in {space.database}. Next: pairloop status --workspace {workspace}")


@store_app.command("move")
def move(
    to: Annotated[
        str,
        typer.Argument(help='"ducklake:postgres:dbname=... host=...", or "file" for the own file.'),
    ],
    *,
    data: Annotated[
        str, typer.Option(help="For a lake: a folder all machines share, or s3://bucket/prefix.")
    ] = "",
    workspace: WorkspaceDir = Path(),
) -> None:
    """Move the rows to an empty store. pairloop.toml names it from then on."""
    from pairloop import moving
    from pairloop.workspace import open_workspace
    from storage.config import StorageConfig

    place = StorageConfig() if to == "file" else StorageConfig(store=to, data=data)
    done = moving.move(open_workspace(workspace), place)
    aside = f" ({moving.ASIDE} keeps them as they were)" if isinstance(done.source, Path) else ""
    print(
        f"Moved {many(done.rows, 'row')} from {done.source}{aside} to {done.target}. "
        f"Next: pairloop status --workspace {workspace}"
    )


@store_app.command("compact")
def compact(*, workspace: WorkspaceDir = Path()) -> None:
    """Gather a lake's small appends into few files. Run it every night."""
    from pairloop.workspace import open_workspace
    from storage.errors import InputError
    from storage.lake import LakeConnection

    space = open_workspace(workspace)
    with space.store() as store, store.connected() as connection:
        if not isinstance(connection, LakeConnection):
            raise InputError(f"{space.database} is a file, which needs no compacting.")
        done = connection.compact()
    print(
        f"Moved {many(done.rows, 'row')} out of the catalog into files, made {many(done.merged, 'file')} of smaller "
        f"ones, removed {done.removed} that nothing needs. Next: pairloop status"
    )
