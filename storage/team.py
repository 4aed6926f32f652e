"""Reading what steers the labeling team's work, and its trail."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from storage.records import Verdict
from storage.store import Store, utc_now
from storage.team_records import (
    Activity,
    ApiToken,
    Assignment,
    Gold,
    GoldUse,
    Guideline,
    Invitation,
    LabelerSettings,
    PasswordReset,
    Setting,
)

_audit = logging.getLogger("pairloop.audit")  # at level info; quiet in commands that end


def gold_by_pair(store: Store) -> dict[str, Gold]:
    """What is known of every gold pair, retired ones too, by pair id."""
    return {g.pair_id: g for g in store.read(Gold, "gold_all")}


def labeler_settings(store: Store) -> dict[str, LabelerSettings]:
    """What work people get, by name; those nobody changed are not in it."""
    return {s.name: s for s in store.read(LabelerSettings, "labeler_settings_all")}


def assignments(store: Store) -> list[Assignment]:
    """The assignments, ended ones too, oldest first."""
    return store.read(Assignment, "assignments_all")


def settings(store: Store) -> dict[str, Setting]:
    """The distribution settings changed while the project runs, by key."""
    return {s.key: s for s in store.read(Setting, "settings_all")}


def guidelines(store: Store) -> list[Guideline]:
    """Every version of the guidelines, the one in force first."""
    return store.read(Guideline, "guidelines_all")


def invitations(store: Store) -> dict[str, Invitation]:
    """Every invitation by the hash of its token, newest first."""
    return {i.token_hash: i for i in store.read(Invitation, "invitations_all")}


def invitation(store: Store, token_hash: str) -> Invitation | None:
    """The invitation behind a link's hash."""
    found = store.read(Invitation, "invitation_by_token", token_hash=token_hash)
    return found[0] if found else None


def api_token(store: Store, token_hash: str) -> ApiToken | None:
    """The API token behind a hash."""
    found = store.read(ApiToken, "api_token_by_hash", token_hash=token_hash)
    return found[0] if found else None


def api_tokens(store: Store) -> dict[str, ApiToken]:
    """Every API token by its hash, newest first."""
    return {t.token_hash: t for t in store.read(ApiToken, "api_tokens_all")}


def password_reset(store: Store, token_hash: str) -> PasswordReset | None:
    """The reset behind a link's hash."""
    found = store.read(PasswordReset, "password_reset_by_token", token_hash=token_hash)
    return found[0] if found else None


def activities(store: Store, *, count: int = 200, skip: int = 0) -> list[Activity]:
    """The end of the activity trail, newest first, without the newest `skip`."""
    return store.read(Activity, "activities_newest", count=count + skip)[skip:]


def team_versions(store: Store) -> tuple[int, ...]:
    """A cheap value that changes exactly when gold, settings, assignments or guidelines do."""
    return tuple(int(str(n)) for n in store.query("team_versions")[0].values())


def note(store: Store, *, actor: str, action: str, subject: str = "", detail: str = "") -> None:
    """Append to the activity trail; the log gets it too, without the detail."""
    store.append(
        [
            Activity(
                id=uuid4().hex,
                actor=actor,
                action=action,
                subject=subject,
                detail=detail,
                created_at=utc_now(),
            )
        ]
    )
    _audit.info("audit", extra={"actor": actor, "action": action, "subject": subject})


def pairs_by_tag(store: Store, tags: Sequence[str]) -> dict[str, list[str]]:
    """Ids of the pairs whose prompts have these tags, by tag."""
    found: dict[str, list[str]] = {tag: [] for tag in tags}
    for row in store.query("pairs_by_tag", tags=list(tags)):
        found[str(row["tag"])].append(str(row["pair_id"]))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldVote:
    """A counting vote on a gold pair, in stored order, and what it should have been."""

    labeler: str
    pair_id: str
    verdict: Verdict
    expected: Verdict
    use: GoldUse
    created_at: datetime


def gold_votes(store: Store) -> list[GoldVote]:
    """Votes on active gold pairs, oldest first: a retired one counts against nobody."""
    return [
        GoldVote(
            labeler=str(row["labeler"]),
            pair_id=str(row["pair_id"]),
            verdict=Verdict(str(row["verdict"])),
            expected=Verdict(str(row["expected"])),
            use=GoldUse(str(row["use"])),
            created_at=row["created_at"],  # type: ignore[arg-type]
        )
        for row in store.query("gold_votes")
    ]


def repeat_votes(store: Store) -> list[tuple[str, Verdict, Verdict]]:
    """(labeler, before, now) of every pair somebody judged twice without being told."""
    return [
        (str(row["labeler"]), Verdict(str(row["before"])), Verdict(str(row["verdict"])))
        for row in store.query("repeat_votes")
    ]
