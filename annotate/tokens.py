"""API tokens: keys for programs. Each acts as one labeler, with that labeler's role.

The store has a token's sha256 only; who loses one revokes it and makes another.
"""

import secrets
from dataclasses import replace
from datetime import timedelta

from annotate.accounts import account_time, changing, count_change, known_labeler, token_hash
from storage import judgments as judging
from storage import team
from storage.errors import InputError
from storage.records import Labeler, LabelerKind
from storage.store import Store, utc_now
from storage.team_records import ApiToken
from storage.words import many

PREFIX = "pairloop_"  # so that a token found in a file or a log is known for what it is
_MAX_TOKENS = 20
_MAX_DAYS = 3650
_MAX_LABEL_CHARS = 80


def create_token(store: Store, labeler: str, *, label: str, days: float | None = None) -> str:
    """A new token of an active account, told this once. days: None for one that does not expire."""
    label = label.strip()
    if not label or len(label) > _MAX_LABEL_CHARS or not label.isprintable():
        raise InputError(
            f"Say in 1 to {_MAX_LABEL_CHARS} printable characters what the token is for."
        )
    if days is not None and not 0 < days <= _MAX_DAYS:
        raise InputError(f"A token holds up to {_MAX_DAYS} days, not {days:g}.")
    if not known_labeler(store, labeler).active:
        raise InputError(f"The account of {labeler!r} is disabled, so it can have no token.")
    token = PREFIX + secrets.token_urlsafe(32)
    row = ApiToken(
        token_hash=token_hash(token),
        labeler=labeler,
        label=label,
        revoked=False,
        expires_at=None if days is None else utc_now() + timedelta(days=days),
        created_at=account_time(store, labeler),
    )
    with changing:
        active = [t for t in tokens_of(store, labeler) if is_active(t)]
        if len(active) >= _MAX_TOKENS:
            raise InputError(
                f"{labeler} has {many(len(active), 'token')} already. Revoke one first."
            )
        store.append([row])
    team.note(store, actor=labeler, action="token made", subject=label)
    return token


def tokens_of(store: Store, labeler: str) -> list[ApiToken]:
    """Somebody's tokens, ended ones too, newest first."""
    return [t for t in team.api_tokens(store).values() if t.labeler == labeler]


def is_active(token: ApiToken) -> bool:
    """Neither revoked nor expired; its account may still be disabled."""
    return not token.revoked and (token.expires_at is None or token.expires_at > utc_now())


def revoke_token(store: Store, token_hash: str, *, author: str) -> None:
    """End a token at once; raises InputError where there is none that holds."""
    with changing:
        row = team.api_token(store, token_hash)
        if row is None or row.revoked:
            raise InputError("There is no such token, or it was revoked already.")
        store.append([replace(row, revoked=True)])
        count_change()
    team.note(
        store, actor=author, action="token revoked", subject=row.label, detail=f"of {row.labeler}"
    )


def token_labeler(store: Store, token: str) -> Labeler | None:
    """Whose token this is: not revoked, not expired, of an account not disabled since."""
    if not token.startswith(PREFIX):
        return None
    row = team.api_token(store, token_hash(token))
    if row is None or not is_active(row):
        return None
    labeler = judging.labeler(store, row.labeler)
    if labeler is None or not labeler.active or row.created_at < labeler.created_at:
        return None
    if labeler.kind is LabelerKind.MODEL:
        return None
    return labeler
