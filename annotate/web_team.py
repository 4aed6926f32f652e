"""The team's routes: people and their settings, invitations, API tokens."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel, ConfigDict, Field

from annotate import accounts, invitations, passwords, tokens
from annotate.access import Admin, Me
from annotate.desk import Desk
from annotate.people import KEEP, change_settings, settings_of
from annotate.people_stats import people_rows
from annotate.web_paging import Paged
from storage import judgments as judging
from storage import team
from storage.errors import InputError
from storage.records import Labeler, Role
from storage.store import Store
from storage.team_records import ApiToken, Invitation, LabelerSettings

_Group = Annotated[str, Field(min_length=1, max_length=41)]
_Groups = Annotated[list[_Group], Field(max_length=20)]
_Limit = Annotated[int, Field(ge=1, le=1_000_000)]


class Body(BaseModel):
    """What a request may hold, and nothing else."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PersonBody(Body):
    """What to change of somebody's work; what is left out stays. A limit of null is none."""

    paused: bool | None = None
    groups: _Groups | None = None
    daily_limit: _Limit | None = None
    total_limit: _Limit | None = None
    qualified: bool | None = None


class RoleBody(Body):
    """The role somebody gets."""

    role: Role


class InvitationBody(Body):
    """Whom to invite; without a name, whoever has the link chooses one."""

    role: Role = Role.LABELER
    name: Annotated[str, Field(max_length=80)] = ""
    groups: _Groups = []
    days: Annotated[float, Field(gt=0, le=invitations.MAX_DAYS)] = 7


class TokenBody(Body):
    """What the token is for, and for how long; days of null: until it is revoked."""

    label: Annotated[str, Field(min_length=1, max_length=80)]
    days: Annotated[float, Field(gt=0, le=3650)] | None = None


def people_router(store: Store, desk: Desk) -> APIRouter:
    """People: who they are, what work they get, whether they may sign in. For admins."""
    router = APIRouter(prefix="/api", tags=["people"])

    @router.get("/people")
    def people(_admin: Admin, page: Paged) -> dict[str, Any]:
        """Everybody with an account, people and models, and what work they get."""
        with store.connected():
            known, settings = judging.labelers(store), team.labeler_settings(store)
        return page.of(
            list(known.values()),
            lambda p: _person_json(p, settings.get(p.name) or settings_of(store, p.name)),
        )

    @router.get("/people/statistics")
    def statistics(_admin: Admin) -> dict[str, Any]:
        """Everybody's pace, agreement, side bias, gold and repeats, busiest first."""
        return {"people": jsonable_encoder(people_rows(store, desk.config))}

    @router.patch("/people/{name:path}")
    def change(admin: Admin, name: str, body: PersonBody) -> dict[str, Any]:
        """Pause somebody, change their groups or limits, or let them in without qualifying."""
        given = body.model_fields_set
        settings = change_settings(
            store,
            name,
            author=admin.name,
            paused=body.paused,
            groups=body.groups,
            daily_limit=body.daily_limit if "daily_limit" in given else KEEP,
            total_limit=body.total_limit if "total_limit" in given else KEEP,
            qualified=body.qualified,
        )
        desk.refresh()
        return _person_json(accounts.known_labeler(store, name), settings)

    def pause(admin: Labeler, name: str, *, paused: bool) -> dict[str, Any]:
        settings = change_settings(store, name, author=admin.name, paused=paused)
        desk.refresh()
        return _person_json(accounts.known_labeler(store, name), settings)

    @router.post("/people/{name:path}/pause")
    def pause_somebody(admin: Admin, name: str) -> dict[str, Any]:
        """Give somebody no more pairs; they stay signed in and see why."""
        return pause(admin, name, paused=True)

    @router.post("/people/{name:path}/resume")
    def resume_somebody(admin: Admin, name: str) -> dict[str, Any]:
        """Give somebody pairs again."""
        return pause(admin, name, paused=False)

    @router.post("/people/{name:path}/disable")
    def disable(admin: Admin, name: str) -> dict[str, Any]:
        """Lock an account: its sessions and API tokens end at once, its judgments stay."""
        accounts.disable_labeler(store, name, author=admin.name)
        return _person_json(accounts.known_labeler(store, name), settings_of(store, name))

    @router.post("/people/{name:path}/enable")
    def enable(admin: Admin, name: str) -> dict[str, Any]:
        """Open a locked account again, with its old password; its old API tokens stay ended."""
        accounts.enable_labeler(store, name, author=admin.name)
        return _person_json(accounts.known_labeler(store, name), settings_of(store, name))

    @router.post("/people/{name:path}/role")
    def change_role(admin: Admin, name: str, body: RoleBody) -> dict[str, Any]:
        """Give somebody another role: they sign in again, and their API tokens end."""
        accounts.change_role(store, name, body.role, author=admin.name)
        return _person_json(accounts.known_labeler(store, name), settings_of(store, name))

    @router.post("/people/{name:path}/reset", status_code=201)
    def reset(admin: Admin, name: str) -> dict[str, Any]:
        """Make a link where somebody chooses a new password, once; send it to them.

        It is this server's address followed by `path`, told this once. Their old password counts
        until the link is used; then their sessions and API tokens end.
        """
        token = passwords.make_reset(store, name, author=admin.name)
        return {"path": f"/reset/{token}", "hours": passwords.RESET_HOURS}

    @router.get("/people/{name:path}/tokens")
    def tokens_of(_admin: Admin, name: str, page: Paged) -> dict[str, Any]:
        """Somebody's API tokens, ended ones too, newest first."""
        accounts.known_labeler(store, name)
        return page.of(tokens.tokens_of(store, name), _token_json)

    return router


def invitation_router(store: Store) -> APIRouter:
    """Invitations, for admins. Accounts are made by invitation only."""
    router = APIRouter(prefix="/api", tags=["invitations"])

    @router.get("/invitations")
    def listed(_admin: Admin, page: Paged) -> dict[str, Any]:
        """Every invitation with its state: open, used, revoked or expired. Newest first."""
        return page.of(list(team.invitations(store).values()), _invitation_json)

    @router.post("/invitations", status_code=201)
    def make(admin: Admin, body: InvitationBody) -> dict[str, Any]:
        """Invite somebody; send them this server's address followed by `path`. Told this once."""
        token = invitations.invite(
            store,
            role=body.role,
            author=admin.name,
            name=body.name,
            groups=body.groups,
            days=body.days,
        )
        made = invitations.find(store, token)
        assert made is not None, "stored just now"
        return {"path": f"/invite/{token}", **_invitation_json(made)}

    @router.delete("/invitations/{invitation}")
    def revoke(admin: Admin, invitation: str) -> dict[str, Any]:
        """Take an invitation back, by its id."""
        try:
            invitations.revoke(store, invitation, author=admin.name)
        except InputError as error:
            raise HTTPException(404, str(error)) from error
        return {}

    return router


def token_router(store: Store) -> APIRouter:
    """Everybody's own API tokens."""
    router = APIRouter(prefix="/api", tags=["tokens"])

    @router.get("/tokens")
    def listed(me: Me, page: Paged) -> dict[str, Any]:
        """Your API tokens, ended ones too, newest first; what they are is not told again."""
        return page.of(tokens.tokens_of(store, me.name), _token_json)

    @router.post("/tokens", status_code=201)
    def make(request: Request, me: Me, body: TokenBody) -> dict[str, Any]:
        """Make an API token that acts as you, with your role. It is told this once.

        For those signed in on the pages: a token can't make another one.
        """
        if request.state.by_token:
            raise HTTPException(403, "A token can't make another one: sign in for that.")
        token = tokens.create_token(store, me.name, label=body.label, days=body.days)
        return {"token": token, "id": accounts.token_hash(token)}

    @router.delete("/tokens/{token}")
    def revoke(me: Me, token: str) -> dict[str, Any]:
        """End one of your API tokens, by its id; an admin may end anybody's."""
        row = team.api_token(store, token)
        if row is None or row.revoked or (row.labeler != me.name and me.role is not Role.ADMIN):
            raise HTTPException(404, "There is no such token, or it was revoked already.")
        tokens.revoke_token(store, token, author=me.name)
        return {}

    return router


def _person_json(person: Labeler, settings: LabelerSettings) -> dict[str, Any]:
    return {
        "name": person.name,
        "role": person.role.value,
        "kind": person.kind.value,
        "active": person.active,
        "paused": settings.paused,
        "groups": list(settings.groups),
        "daily_limit": settings.daily_limit,
        "total_limit": settings.total_limit,
        "qualified": settings.qualified,
        "changed_at": person.created_at.isoformat(),
    }


def _invitation_json(invitation: Invitation) -> dict[str, Any]:
    return {
        "id": invitation.token_hash,
        "state": invitations.state_of(invitation).value,
        "name": invitation.name,
        "role": invitation.role.value,
        "groups": list(invitation.groups),
        "used_by": invitation.used_by,
        "author": invitation.author,
        "expires_at": invitation.expires_at.isoformat(),
    }


def _token_json(token: ApiToken) -> dict[str, Any]:
    return {
        "id": token.token_hash,
        "label": token.label,
        "active": tokens.is_active(token),
        "revoked": token.revoked,
        "expires_at": token.expires_at.isoformat() if token.expires_at else None,
        "created_at": token.created_at.isoformat(),
    }
