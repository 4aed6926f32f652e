"""Invitations: links that make one account each. There is no other sign-up.

The link holds a random token; the store has its sha256 only.
"""

import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum

from annotate.accounts import add_hashed, changing, check_name, hash_password, token_hash
from annotate.people import change_settings, check_groups
from storage import judgments as judging
from storage import team
from storage.errors import ConflictError, InputError
from storage.records import Labeler, Role
from storage.store import Store, utc_now
from storage.team_records import Invitation

MAX_DAYS = 90


class InvitationState(StrEnum):
    """Whether a link still makes an account."""

    OPEN = "open"
    USED = "used"
    REVOKED = "revoked"
    EXPIRED = "expired"


def invite(
    store: Store,
    *,
    role: Role,
    author: str,
    name: str = "",
    groups: Sequence[str] = (),
    days: float = 7,
) -> str:
    """Make an invitation; gives the token of its link, /invite/TOKEN, which is stored nowhere.

    name: the account's; "" lets whoever opens the link choose one.
    """
    if not 0 < days <= MAX_DAYS:
        raise InputError(f"An invitation holds up to {MAX_DAYS} days, not {days:g}.")
    name = check_name(name) if name.strip() else ""
    known = judging.labelers(store).get(name)
    if known and known.active:
        raise ConflictError(
            f"There is already a labeler {name!r}. Choose another name, or disable that one first."
        )
    token = secrets.token_urlsafe(32)
    now = utc_now()
    row = Invitation(
        token_hash=token_hash(token),
        revision=0,
        name=name,
        role=role,
        groups=check_groups(groups),
        used_by="",
        revoked=False,
        author=author,
        expires_at=now + timedelta(days=days),
        created_at=now,
    )
    store.append([row])
    team.note(
        store,
        actor=author,
        action="invited",
        subject=name or "whoever has the link",
        detail=f"{role.value}, {days:g} days",
    )
    return token


def find(store: Store, token: str) -> Invitation | None:
    """The invitation of a link, whatever its state; None for a token that is not ours."""
    return team.invitation(store, token_hash(token))


def state_of(invitation: Invitation) -> InvitationState:
    if invitation.used_by:
        return InvitationState.USED
    if invitation.revoked:
        return InvitationState.REVOKED
    if invitation.expires_at <= utc_now():
        return InvitationState.EXPIRED
    return InvitationState.OPEN


def accept(store: Store, token: str, *, name: str, password: str) -> Labeler:
    """Make the account of an invitation, which ends with it.

    name counts only where the invitation has none. Raises ConflictError where the link was used,
    revoked or has expired, and where somebody else has the name; InputError for a bad password.
    """
    hashed = hash_password(password)
    with changing:
        invitation = find(store, token)
        if invitation is None:
            raise ConflictError("This link is not one of ours. Ask for a new one.")
        state = state_of(invitation)
        if state is not InvitationState.OPEN:
            raise ConflictError(refusal(state))
        chosen = invitation.name or _free_name(store, name)
        labeler = add_hashed(
            store, chosen, password_hash=hashed, role=invitation.role, author=chosen
        )
        store.append(
            [
                replace(
                    invitation,
                    revision=invitation.revision + 1,
                    used_by=labeler.name,
                    created_at=utc_now(),
                )
            ]
        )
        if invitation.groups:
            change_settings(store, labeler.name, author=invitation.author, groups=invitation.groups)
    team.note(
        store,
        actor=labeler.name,
        action="invitation accepted",
        subject=labeler.name,
        detail=f"{invitation.role.value}, invited by {invitation.author}",
    )
    return labeler


def refusal(state: InvitationState) -> str:
    """Why a link no longer makes an account."""
    return f"This invitation {_WHY[state]}. Ask whoever sent it for a new one."


_WHY = {
    InvitationState.OPEN: "is open",
    InvitationState.USED: "was used already",
    InvitationState.REVOKED: "was taken back",
    InvitationState.EXPIRED: "has expired",
}


def revoke(store: Store, token_hash: str, *, author: str) -> None:
    """End an invitation; raises InputError where there is none that is open."""
    with changing:
        row = team.invitation(store, token_hash)
        if row is None or state_of(row) in (InvitationState.USED, InvitationState.REVOKED):
            raise InputError("There is no such open invitation.")
        store.append([replace(row, revision=row.revision + 1, revoked=True, created_at=utc_now())])
    team.note(
        store,
        actor=author,
        action="invitation revoked",
        subject=row.name or "whoever has the link",
        detail=row.role.value,
    )


def _free_name(store: Store, name: str) -> str:
    """A chosen name that no account has or looks like; disabled ones keep theirs."""
    name = check_name(name)
    taken = {_looks(known) for known in judging.labelers(store)}
    if _looks(name) in taken:
        raise ConflictError(f"Somebody already has the name {name!r}. Choose another.")
    return name


def _looks(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()
