"""New passwords: one's own, and links for those who forgot theirs.

A link holds a random token; the store has its sha256 only. Whatever changes the account ends every
link made before, so a link works once. A new password ends the account's sessions and API tokens.
"""

import secrets
from datetime import timedelta

from annotate.accounts import (
    COMMAND_LINE,
    account_time,
    change_account,
    changing,
    check_password,
    hash_password,
    known_person,
    token_hash,
)
from storage import judgments as judging
from storage import team
from storage.errors import ConflictError, InputError
from storage.records import Labeler
from storage.store import Store, utc_now
from storage.team_records import PasswordReset

RESET_HOURS = 24.0


def make_reset(store: Store, name: str, *, author: str = COMMAND_LINE) -> str:
    """The token of a link, /reset/TOKEN, where this person chooses a new password, once."""
    _active(store, name)
    token = secrets.token_urlsafe(32)
    row = PasswordReset(
        token_hash=token_hash(token),
        labeler=name,
        author=author,
        expires_at=utc_now() + timedelta(hours=RESET_HOURS),
        created_at=account_time(store, name),
    )
    store.append([row])
    team.note(store, actor=author, action="password reset link made", subject=name)
    return token


def whose_reset(store: Store, token: str) -> str | None:
    """Whose password this link still changes; None for one that is used, ended or not ours."""
    row = team.password_reset(store, token_hash(token))
    if row is None or row.expires_at <= utc_now():
        return None
    labeler = judging.labeler(store, row.labeler)
    if labeler is None or not labeler.active or row.created_at < labeler.created_at:
        return None
    return labeler.name


def use_reset(store: Store, token: str, password: str) -> str:
    """Put the new password in force, and say whose it is.

    Raises ConflictError for a link that does not hold, InputError for a bad password.
    """
    hashed = hash_password(password)
    with changing:
        name = whose_reset(store, token)
        if name is None:
            raise ConflictError("This link was used already, or has ended. Ask for a new one.")
        change_account(store, _active(store, name), password_hash=hashed)
    team.note(store, actor=name, action="password changed", subject=name, detail="by a link")
    return name


def set_password(store: Store, name: str, password: str, *, author: str = COMMAND_LINE) -> None:
    """Put a new password in force."""
    hashed = hash_password(password)
    with changing:
        change_account(store, _active(store, name), password_hash=hashed)
    team.note(store, actor=author, action="password changed", subject=name)


def change_own(store: Store, name: str, *, current: str, password: str) -> None:
    """Put one's own new password in force; raises InputError where the current one is wrong."""
    if check_password(store, name, current) is None:
        raise InputError("This is not your current password.")
    set_password(store, name, password, author=name)


def _active(store: Store, name: str) -> Labeler:
    known = known_person(store, name)
    if not known.active:
        raise InputError(f"The account of {name!r} is disabled. Enable it first.")
    return known
