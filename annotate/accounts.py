"""Accounts and sign-ins: scrypt password hashes, opaque session tokens, kept in the store.

A session's cookie is a random token; the store has its sha256 only.
"""

import base64
import hashlib
import hmac
import secrets
import threading
import unicodedata
from dataclasses import replace
from datetime import datetime, timedelta

from storage import judgments as judging
from storage import team
from storage.errors import ConflictError, InputError
from storage.records import IMPORTED_LABELER, Labeler, LabelerKind, Role, Session
from storage.store import Store, utc_now
from storage.words import many

_N, _R, _P = 2**14, 8, 1  # 16 MB, about 50 ms: OWASP's scrypt floor for interactive sign-in
_MIN_PASSWORD_CHARS = 8
MAX_PASSWORD_CHARS = 1000
COMMAND_LINE = "command line"  # who did it, where nobody is signed in

# Held from reading an account to appending its next row: two requests never make one name twice.
changing = threading.RLock()
_changes = 0  # of accounts and tokens in this process; what remembers who is signed in compares it


def hash_password(password: str) -> str:
    """Scrypt hash as `scrypt$N$r$p$salt$key`, both base64."""
    if len(password) < _MIN_PASSWORD_CHARS:
        raise InputError(
            f"The password has {many(len(password), 'character')}; "
            f"it needs {_MIN_PASSWORD_CHARS} or more."
        )
    salt = secrets.token_bytes(16)
    key = hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P, maxmem=2**26)
    parts = (base64.b64encode(part).decode() for part in (salt, key))
    return f"scrypt${_N}${_R}${_P}${'$'.join(parts)}"


def verify_password(password: str, stored: str) -> bool:
    """Compare in constant time; a stored "" never matches."""
    try:
        kind, n, r, p, salt, key = stored.split("$")
    except ValueError:
        return False
    if kind != "scrypt":
        return False
    made = hashlib.scrypt(
        password.encode(),
        salt=base64.b64decode(salt),
        n=int(n),
        r=int(r),
        p=int(p),
        maxmem=2**26,
    )
    return hmac.compare_digest(made, base64.b64decode(key))


# Zero-width and direction characters: two names that look the same are two people's.
_INVISIBLE = frozenset(
    "\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\u061c\u00ad"
)

# Checked for unknown names too, so that the time taken does not tell who exists.
_NOBODY = "scrypt$16384$8$1$AAAAAAAAAAAAAAAAAAAAAA==$" + base64.b64encode(bytes(64)).decode()


def check_password(store: Store, name: str, password: str) -> Labeler | None:
    """The active labeler of this name and password, else None."""
    labeler = judging.labeler(store, name)
    stored = labeler.password_hash if labeler and labeler.password_hash else _NOBODY
    matches = verify_password(password, stored)
    return labeler if labeler and matches and labeler.active else None


def check_name(name: str) -> str:
    """The name without outer spaces; raises InputError for what nobody could type or tell apart."""
    name = unicodedata.normalize("NFC", name.strip())
    unusable = any(
        unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in _INVISIBLE for c in name
    )
    if not name or len(name) > 80 or unusable or name.startswith("@"):
        raise InputError(
            f"{name!r} can't be a labeler's name: 1 to 80 printable characters, the first no @."
        )
    if name.startswith(IMPORTED_LABELER):
        raise InputError(
            f"{name!r} can't be an account: names that begin with {IMPORTED_LABELER} are those of "
            "people whose votes were imported. Choose another name."
        )
    return name


def add_labeler(
    store: Store,
    name: str,
    *,
    password: str | None,
    role: Role = Role.LABELER,
    kind: LabelerKind = LabelerKind.HUMAN,
    author: str = COMMAND_LINE,
) -> Labeler:
    """Add an account; without a password it can sign in by a one-time link only."""
    hashed = hash_password(password) if password is not None else ""
    return add_hashed(store, name, password_hash=hashed, role=role, kind=kind, author=author)


def add_hashed(
    store: Store,
    name: str,
    *,
    password_hash: str,
    role: Role,
    kind: LabelerKind = LabelerKind.HUMAN,
    author: str,
) -> Labeler:
    """The same, of a password hashed before: hashing takes its time, and others may wait here."""
    name = check_name(name)
    with changing:
        known = judging.labeler(store, name)
        if known and known.active:
            raise ConflictError(
                f"There is already a labeler {name!r}. "
                "Choose another name, or disable that one first."
            )
        if known and known.kind is not kind:
            raise ConflictError(
                f"{name!r} was a {known.kind}'s name, and what it judged would count as a {kind}'s. "
                "Choose another name."
            )
        labeler = Labeler(
            name=name,
            revision=known.revision + 1 if known else 0,
            role=role,
            kind=kind,
            password_hash=password_hash,
            active=True,
            created_at=account_time(store, name),
        )
        _store_change(store, labeler)
    team.note(store, actor=author, action="account added", subject=name, detail=role.value)
    return labeler


def disable_labeler(store: Store, name: str, *, author: str = COMMAND_LINE) -> None:
    """Lock an account: its sessions and API tokens end at once, its judgments stay."""
    if author == name:
        raise ConflictError("You can't disable your own account; another admin can.")
    with changing:
        known = known_labeler(store, name)
        if not known.active:
            return
        _keep_an_admin(store, known)
        change_account(store, known, active=False)
    team.note(store, actor=author, action="account disabled", subject=name)


def enable_labeler(store: Store, name: str, *, author: str = COMMAND_LINE) -> None:
    """Open a disabled account again, with its old password; old sessions and tokens stay ended."""
    with changing:
        known = known_labeler(store, name)
        if known.active:
            return
        change_account(store, known, active=True)
    team.note(store, actor=author, action="account enabled", subject=name)


def change_role(store: Store, name: str, role: Role, *, author: str = COMMAND_LINE) -> None:
    """Give a person another role: they sign in again, and their API tokens end.

    Raises ConflictError for one's own role and for the only admin's.
    """
    if author == name:
        raise ConflictError("You can't change your own role; another admin can.")
    with changing:
        known = known_person(store, name)
        if known.role is role:
            return
        _keep_an_admin(store, known)
        change_account(store, known, role=role)
    detail = f"from {known.role.value} to {role.value}"
    team.note(store, actor=author, action="role changed", subject=name, detail=detail)


def change_account(
    store: Store,
    known: Labeler,
    *,
    role: Role | None = None,
    active: bool | None = None,
    password_hash: str | None = None,
) -> None:
    """Store what changes of an account, which ends its sessions and API tokens."""
    changed = replace(
        known,
        revision=known.revision + 1,
        role=known.role if role is None else role,
        active=known.active if active is None else active,
        password_hash=known.password_hash if password_hash is None else password_hash,
        created_at=account_time(store, known.name),
    )
    _store_change(store, changed)


def account_time(store: Store, name: str) -> datetime:
    """Now, and later than all that an account has.

    What is older than the account's last change has ended; a clock that was set back must neither
    end a new sign-in nor let an old one live on.
    """
    now, last = utc_now(), judging.last_of_account(store, name)
    return now if last is None else max(now, last + timedelta(microseconds=1))


def known_person(store: Store, name: str) -> Labeler:
    """The account of a person here; raises InputError for models, and those who voted elsewhere."""
    known = known_labeler(store, name)
    if known.kind is LabelerKind.MODEL or name.startswith(IMPORTED_LABELER):
        what = (
            "a model" if known.kind is LabelerKind.MODEL else "somebody whose votes were imported"
        )
        raise InputError(f"{name!r} is {what}, with no account here: no role and no password.")
    return known


def _keep_an_admin(store: Store, leaving: Labeler) -> None:
    """Raise ConflictError where nobody else is an active admin."""
    admins = {
        p.name
        for p in judging.labelers(store).values()
        if p.active and p.role is Role.ADMIN and p.kind is LabelerKind.HUMAN
    }
    if admins == {leaving.name}:
        raise ConflictError(f"{leaving.name} is the only admin. Make somebody else an admin first.")


def known_labeler(store: Store, name: str) -> Labeler:
    """The account of this name, active or not; raises InputError where there is none."""
    known = judging.labelers(store)
    if name not in known:
        raise InputError(
            f"There is no labeler {name!r}. Known: {', '.join(known) or 'nobody yet'}."
        )
    return known[name]


def changes() -> int:
    """How often this process changed an account or ended a token."""
    return _changes


def count_change() -> None:
    """Make every memory of who is signed in look again."""
    global _changes  # noqa: PLW0603 - one process, one truth
    with changing:
        _changes += 1


def _store_change(store: Store, labeler: Labeler) -> None:
    store.append([labeler])
    count_change()


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def start_session(store: Store, name: str, *, hours: float) -> str:
    """A new session's token, for the cookie."""
    token = secrets.token_urlsafe(32)
    store.append(
        [
            Session(
                token_hash=token_hash(token),
                labeler=name,
                revoked=False,
                expires_at=utc_now() + timedelta(hours=hours),
                created_at=account_time(store, name),
            )
        ]
    )
    return token


def session_labeler(store: Store, token: str) -> Labeler | None:
    """Who is signed in with this token: not expired, not signed out, not disabled, no model.

    An account that was changed since, or given to somebody else, has to sign in again.
    """
    found = judging.session(store, token_hash(token))
    if found is None or found.revoked or found.expires_at <= utc_now():
        return None
    labeler = judging.labeler(store, found.labeler)
    if labeler is None or not labeler.active or found.created_at < labeler.created_at:
        return None
    if labeler.kind is LabelerKind.MODEL:
        return None
    return labeler


def end_session(store: Store, token: str) -> None:
    """Sign out."""
    found = judging.session(store, token_hash(token))
    if found is None or found.revoked:
        return
    store.append(
        [
            Session(
                token_hash=found.token_hash,
                labeler=found.labeler,
                revoked=True,
                expires_at=found.expires_at,
                created_at=utc_now(),
            )
        ]
    )
