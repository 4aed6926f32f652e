"""Reading judgments, presentations and labelers."""

from collections.abc import Sequence
from datetime import datetime
from hashlib import md5
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from storage.records import (
    IMPORTED_VOTES,
    Judgment,
    Labeler,
    Presentation,
    Purpose,
    Session,
    Verdict,
)
from storage.store import Store

ALL_ROWS = 2**63 - 1  # beyond the number of any row


class LastWord(NamedTuple):
    """The last thing somebody said of a pair, and in how many judgments they said it."""

    pair_id: str
    labeler: str
    verdict: Verdict
    revision: int
    withdrawn: bool
    events: int
    created_at: datetime = datetime.min  # noqa: DTZ901
    id: str = ""


def judgments(store: Store) -> list[Judgment]:
    """The judgments that count now, oldest first."""
    return store.read(Judgment, "judgments_present")


def judgments_in_order(store: Store) -> pa.Table:
    """One row per judgment that counts now, oldest first, with nothing of what people wrote.

    Columns: id, labeler, split (of the prompt), first_side (null where the pair was not shown here).
    """
    return store.table("judgments_in_order")


def judgments_by_id(store: Store, ids: Sequence[str]) -> dict[str, Judgment]:
    """The stored judgments among these ids."""
    return {j.id: j for j in store.read(Judgment, "judgments_by_ids", ids=list(ids))}


def judgment_events(store: Store) -> list[Judgment]:
    """Every judgment row, changes and withdrawals included, in the order they were made."""
    return store.read(Judgment, "judgment_events_all")


def last_words(store: Store, *, below: int = ALL_ROWS) -> list[LastWord]:
    """What people say of each pair to label, withdrawals included, in the order they began to.

    below: only rows before this one. When, and in which judgment, is read of a shared store alone:
    elsewhere the revision says which of two words is the later.
    """
    table = store.table("last_words_of_people", imported=IMPORTED_VOTES, below=below)
    verdicts = {v.value: v for v in Verdict}
    names = LastWord._fields if store.shared else LastWord._fields[:-2]
    columns = {name: table[name].to_pylist() for name in names}
    columns["verdict"] = [verdicts[v] for v in columns["verdict"]]
    return [LastWord(*row) for row in zip(*columns.values(), strict=True)]


def events_of(store: Store, labeler: str, *, below: int = ALL_ROWS) -> list[Judgment]:
    """One labeler's judgment rows on pairs to label, changes and withdrawals included, in order.

    below: only rows before this one.
    """
    return store.read(
        Judgment,
        "judgment_events_of_labeler",
        labeler=labeler,
        imported=IMPORTED_VOTES,
        below=below,
    )


def key_marks(store: Store, *, below: int = ALL_ROWS) -> pa.Table:
    """One number (`mark`, 64 bits) per judgment key, alike for equal keys: see `mark_of`."""
    return store.table("judgment_key_marks", below=below)


def mark_of(key: str) -> int:
    """The number that `key_marks` has for a key that is stored."""
    return int.from_bytes(md5(key.encode(), usedforsecurity=False).digest()[8:], "little")


def owner_of_key(store: Store, key: str) -> tuple[str, str] | None:
    """The labeler and the pair of the judgment that has this key."""
    found = store.query("owner_of_key", id=key)
    return (str(found[0]["labeler"]), str(found[0]["pair_id"])) if found else None


def votes(store: Store, *, purposes: Sequence[Purpose]) -> pa.Table:
    """One row per counting vote.

    Columns: pair_id, labeler, verdict, strength, seconds, created_at, round, purpose, strategy, first_side,
    kind, and place (1 for the first person, or model, who has a vote on the pair).
    """
    return store.table("votes_by_pair", purposes=[p.value for p in purposes])


def by_people(found: pa.Table) -> pa.Table:
    """Those of `votes` that people gave; whoever has no account was a person elsewhere."""
    return found.filter(pc.fill_null(pc.not_equal(found["kind"], "model"), fill_value=True))


def votes_version(store: Store) -> tuple[int, ...]:
    """Numbers that change whenever `votes` may: nothing is scanned for them."""
    row = store.query("votes_version")[0]
    return tuple(int(str(n)) for n in row.values())


def presentations_of(store: Store, labeler: str) -> list[Presentation]:
    """What one labeler has been shown, oldest first."""
    return store.read(Presentation, "presentations_of_labeler", labeler=labeler)


def presentation(store: Store, presentation_id: str) -> Presentation | None:
    """One showing of one pair."""
    found = store.read(Presentation, "presentation_by_id", id=presentation_id)
    return found[0] if found else None


def labelers(store: Store) -> dict[str, Labeler]:
    """Everybody who judges, by name."""
    return {row.name: row for row in store.read(Labeler, "labelers_all")}


def labeler(store: Store, name: str) -> Labeler | None:
    """The labeler of this name."""
    found = store.read(Labeler, "labeler_by_name", labeler=name)
    return found[0] if found else None


def session(store: Store, token_hash: str) -> Session | None:
    """The sign-in behind a cookie's hash."""
    found = store.read(Session, "session_by_token", token_hash=token_hash)
    return found[0] if found else None


def last_of_account(store: Store, labeler: str) -> datetime | None:
    """The newest time on an account's rows, sign-ins, tokens and reset links."""
    found = store.query("last_of_account", labeler=labeler)[0]["last"]
    return found if isinstance(found, datetime) else None


def sign_in_versions(store: Store) -> tuple[int, ...]:
    """A cheap value that changes exactly when an account changes or a sign-in or token is ended."""
    return tuple(int(str(n)) for n in store.query("sign_in_versions")[0].values())
