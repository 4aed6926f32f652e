"""Accounts and sign-ins: scrypt password hashes, opaque session tokens, kept in the store.

A session's cookie is a random token; the store has its sha256 only.
"""

import base64
import hashlib
import hmac
import secrets
from datetime import timedelta

from storage import judgments as judging
from storage.errors import ConflictError, InputError
from storage.records import Labeler, LabelerKind, Role, Session
from storage.store import Store, utc_now

_N, _R, _P = 2**14, 8, 1  # 16 MB, about 50 ms: OWASP's scrypt floor for interactive sign-in
_MIN_PASSWORD_CHARS = 8


def hash_password(password: str) -> str:
    """Scrypt hash as `scrypt$N$r$p$salt$key`, both base64."""
    if len(password) < _MIN_PASSWORD_CHARS:
        raise InputError(
            f"The password has {len(password)} characters; it needs {_MIN_PASSWORD_CHARS} or more."
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


# Checked for unknown names too, so that the time taken does not tell who exists.
_NOBODY = "scrypt$16384$8$1$AAAAAAAAAAAAAAAAAAAAAA==$" + base64.b64encode(bytes(64)).decode()


def check_password(store: Store, name: str, password: str) -> Labeler | None:
    """The active labeler of this name and password, else None."""
    labeler = judging.labelers(store).get(name)
    stored = labeler.password_hash if labeler and labeler.password_hash else _NOBODY
    matches = verify_password(password, stored)
    return labeler if labeler and matches and labeler.active else None


def add_labeler(
    store: Store,
    name: str,
    *,
    password: str | None,
    role: Role = Role.LABELER,
    kind: LabelerKind = LabelerKind.HUMAN,
) -> Labeler:
    """Add an account; without a password it can sign in by a one-time link only."""
    unusable = any(ord(c) < 32 or 0xD800 <= ord(c) <= 0xDFFF for c in name)
    if not name.strip() or len(name) > 80 or unusable:
        raise InputError(f"{name!r} can't be a labeler's name: 1 to 80 printable characters.")
    known = judging.labelers(store).get(name)
    if known and known.active:
        raise ConflictError(
            f"There is already a labeler {name!r}. Choose another name, or disable that one first."
        )
    labeler = Labeler(
        name=name,
        revision=known.revision + 1 if known else 0,
        role=role,
        kind=kind,
        password_hash=hash_password(password) if password is not None else "",
        active=True,
        created_at=utc_now(),
    )
    store.append([labeler])
    return labeler


def disable_labeler(store: Store, name: str) -> None:
    """Lock an account; its judgments stay."""
    known = judging.labelers(store).get(name)
    if known is None:
        names = ", ".join(judging.labelers(store)) or "nobody yet"
        raise InputError(f"There is no labeler {name!r}. Known: {names}.")
    store.append(
        [
            Labeler(
                name=name,
                revision=known.revision + 1,
                role=known.role,
                kind=known.kind,
                password_hash=known.password_hash,
                active=False,
                created_at=utc_now(),
            )
        ]
    )


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def start_session(store: Store, name: str, *, hours: float) -> str:
    """A new session's token, for the cookie."""
    token = secrets.token_urlsafe(32)
    now = utc_now()
    store.append(
        [
            Session(
                token_hash=token_hash(token),
                labeler=name,
                revoked=False,
                expires_at=now + timedelta(hours=hours),
                created_at=now,
            )
        ]
    )
    return token


def session_labeler(store: Store, token: str) -> Labeler | None:
    """Who is signed in with this token: not expired, not signed out, not disabled.

    An account that was changed since, or given to somebody else, has to sign in again.
    """
    found = judging.session(store, token_hash(token))
    if found is None or found.revoked or found.expires_at <= utc_now():
        return None
    labeler = judging.labelers(store).get(found.labeler)
    if labeler is None or not labeler.active or found.created_at < labeler.created_at:
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
