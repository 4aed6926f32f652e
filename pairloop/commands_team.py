"""`pairloop labelers`: the people and models who judge."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pairloop.options import Json, WorkspaceDir
from storage.words import many

if TYPE_CHECKING:
    from storage.records import Role

labelers_app = typer.Typer(help="The people (and models) who judge.", no_args_is_help=True)

_Name = Annotated[str, typer.Argument(help="The labeler's name.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the front door."""
    app.add_typer(labelers_app, name="labelers")


@labelers_app.command("add")
def labelers_add(
    name: Annotated[str, typer.Argument(help="The name to sign in with.")],
    *,
    workspace: WorkspaceDir = Path(),
    role: Annotated[str, typer.Option(help="labeler, adjudicator or admin.")] = "labeler",
    group: Annotated[
        list[str] | None, typer.Option(help="A group to be in; may be repeated.")
    ] = None,
    invite: Annotated[
        bool, typer.Option("--invite", help="Print a link where they choose their own password.")
    ] = False,
    days: Annotated[float, typer.Option(help="How long an invitation holds.")] = 7,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Add a person. Asks for their password, or prints an invitation for them."""
    from annotate import invitations
    from annotate.accounts import COMMAND_LINE, add_labeler
    from annotate.people import change_settings, check_groups
    from pairloop.workspace import open_workspace
    from storage.errors import InputError

    known_role = _role(role)
    if invite and password_stdin:
        raise InputError("With --invite they choose the password, so leave --password-stdin out.")
    groups = check_groups(group or ())
    space = open_workspace(workspace)
    if invite:
        with space.store() as store:
            token = invitations.invite(
                store, role=known_role, author=COMMAND_LINE, name=name, groups=groups, days=days
            )
        print(f"/invite/{token}")
        print(
            f"Send {name} your server's address followed by this, for example "
            f"http://127.0.0.1:{space.annotate.port}/invite/... It makes one account and holds "
            f"{days:g} days. Next: pairloop annotate"
        )
        return
    password = _typed_password(stdin=password_stdin)
    with space.store() as store:
        labeler = add_labeler(store, name, password=password, role=known_role)
        if groups:
            change_settings(store, labeler.name, author=COMMAND_LINE, groups=groups)
    print(f"Added {labeler.role} {labeler.name}. Next: pairloop annotate")


@labelers_app.command("list")
def labelers_list(*, workspace: WorkspaceDir = Path(), as_json: Json = False) -> None:
    """List the people and models who judge."""
    from annotate.people import settings_of
    from pairloop.report import table
    from pairloop.workspace import open_workspace
    from storage.judgments import labelers

    with open_workspace(workspace).store() as store, store.connected():
        found = [(p, settings_of(store, p.name)) for p in labelers(store).values()]
    rows = [
        {
            "name": person.name,
            "role": person.role.value,
            "kind": person.kind.value,
            "active": person.active,
            "paused": settings.paused,
            "groups": list(settings.groups),
        }
        for person, settings in found
    ]
    if as_json:
        print(json.dumps({"labelers": rows}))
        return
    names = ["name", "role", "kind", "active", "paused", "groups"]
    shown = [[", ".join(v) if isinstance(v, list) else v for v in row.values()] for row in rows]
    table("Labelers", names, shown)
    print(f"{many(len(rows), 'labeler')}. Next: pairloop annotate")


@labelers_app.command("disable")
def labelers_disable(name: _Name, *, workspace: WorkspaceDir = Path()) -> None:
    """Lock an account: sessions and API tokens end, judgments stay."""
    from annotate.accounts import disable_labeler
    from pairloop.workspace import open_workspace

    with open_workspace(workspace).store() as store:
        disable_labeler(store, name)
    print(f"{name} can no longer sign in; their judgments stay. Next: pairloop labelers list")


@labelers_app.command("enable")
def labelers_enable(name: _Name, *, workspace: WorkspaceDir = Path()) -> None:
    """Open a locked account again, with its old password."""
    from annotate.accounts import enable_labeler
    from pairloop.workspace import open_workspace

    with open_workspace(workspace).store() as store:
        enable_labeler(store, name)
    print(f"{name} can sign in again. Next: pairloop labelers list")


@labelers_app.command("pause")
def labelers_pause(name: _Name, *, workspace: WorkspaceDir = Path()) -> None:
    """Give somebody no more pairs; they stay signed in and see why."""
    _set_paused(workspace, name, paused=True)
    print(f"{name} gets no more pairs. Next: pairloop labelers resume {name}")


@labelers_app.command("resume")
def labelers_resume(name: _Name, *, workspace: WorkspaceDir = Path()) -> None:
    """Give somebody pairs again."""
    _set_paused(workspace, name, paused=False)
    print(f"{name} gets pairs again. Next: pairloop labelers list")


@labelers_app.command("role")
def labelers_role(
    name: _Name,
    role: Annotated[str, typer.Argument(help="labeler, adjudicator or admin.")],
    *,
    workspace: WorkspaceDir = Path(),
) -> None:
    """Give somebody another role; they sign in again."""
    from annotate.accounts import change_role
    from pairloop.workspace import open_workspace

    known_role = _role(role)
    with open_workspace(workspace).store() as store:
        change_role(store, name, known_role)
    print(f"{name} is {known_role.value} now. Next: pairloop labelers list")


@labelers_app.command("password")
def labelers_password(
    name: _Name,
    *,
    workspace: WorkspaceDir = Path(),
    link: Annotated[
        bool, typer.Option("--link", help="Print a link where they choose it themselves.")
    ] = False,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Give somebody a new password, or a link to choose one. Sessions and API tokens end."""
    from annotate.passwords import RESET_HOURS, make_reset, set_password
    from pairloop.workspace import open_workspace
    from storage.errors import InputError

    if link and password_stdin:
        raise InputError("With --link they choose the password, so leave --password-stdin out.")
    space = open_workspace(workspace)
    if link:
        with space.store() as store:
            token = make_reset(store, name)
        print(f"/reset/{token}")
        print(
            f"Send {name} your server's address followed by this. It changes their password once "
            f"and holds {RESET_HOURS:g} hours. Next: pairloop annotate"
        )
        return
    password = _typed_password(stdin=password_stdin)
    with space.store() as store:
        set_password(store, name, password)
    print(f"{name} has a new password and signs in again. Next: pairloop labelers list")


@labelers_app.command("token")
def labelers_token(
    name: _Name,
    *,
    workspace: WorkspaceDir = Path(),
    label: Annotated[str, typer.Option(help="What the token is for.")] = "command line",
    days: Annotated[
        float | None, typer.Option(help="How long it holds; until it is revoked if left out.")
    ] = None,
) -> None:
    """Make an API token that acts as this labeler, and print it once."""
    from annotate.tokens import create_token
    from pairloop.workspace import open_workspace

    with open_workspace(workspace).store() as store:
        token = create_token(store, name, label=label, days=days)
    print(token)
    print(f"It acts as {name} and is not shown again. Next: see docs/api.md", file=sys.stderr)


def _role(name: str) -> "Role":
    from storage.errors import InputError
    from storage.records import Role

    if name not in list(Role):
        raise InputError(f"There is no role {name!r}. Known roles: {', '.join(Role)}.")
    return Role(name)


def _typed_password(*, stdin: bool) -> str:
    if stdin:
        return sys.stdin.readline().rstrip("\n")
    typed: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return typed


def _set_paused(workspace: Path, name: str, *, paused: bool) -> None:
    from annotate.accounts import COMMAND_LINE
    from annotate.people import change_settings
    from pairloop.workspace import open_workspace

    with open_workspace(workspace).store() as store:
        change_settings(store, name, author=COMMAND_LINE, paused=paused)
