"""The vocabulary of the labeling team: what work people get, how they sign in, what was done.

Frozen records like those of storage/records.py, and append-only like them: where a record has a
revision, the highest one per name, id or pair counts.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from storage.records import Role, Verdict


class GoldUse(StrEnum):
    """What a gold pair is for."""

    HIDDEN = "hidden"  # looks like any other pair; says how often somebody is right
    QUALIFICATION = "qualification"  # asked first, with instant feedback
    SENTINEL = "sentinel"  # nobody is right or wrong: how often `verdict` is given must not drift


@dataclass(frozen=True, slots=True, kw_only=True)
class Gold:
    """What is known of a gold pair, in stored order; the highest revision per pair counts."""

    pair_id: str
    revision: int
    use: GoldUse
    verdict: Verdict
    explanation: str  # shown after a qualification pair
    source: str  # "by hand" or "unanimous"
    active: bool
    author: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelerSettings:
    """What work somebody gets; the highest revision per name counts.

    Limits are judgments; None is no limit of their own.
    """

    name: str
    revision: int
    groups: tuple[str, ...]
    daily_limit: int | None
    total_limit: int | None
    paused: bool
    qualified: bool  # let in by a lead, whatever the qualification round said
    author: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Which pairs are for whom, and how soon; the highest revision per id counts.

    It covers the pairs named, and those whose prompt has the tag; with neither, every pair.
    people: names, or groups as "@group"; empty for everybody. A pair is for those whom every
    active assignment that covers it and names people allows.
    """

    id: str
    revision: int
    tag: str
    pair_ids: tuple[str, ...]
    people: tuple[str, ...]
    priority: int  # higher is sooner; pairs without an assignment have 0
    active: bool
    author: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A distribution setting changed while the project runs; the highest revision per key counts."""

    key: str
    revision: int
    value: str  # JSON; null goes back to pairloop.toml, "off" is none whatever the file says
    author: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Guideline:
    """One version of the guidelines; the highest revision is in force."""

    id: str  # content id of the text
    revision: int
    text: str  # Markdown
    author: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A link that makes one account; a later revision with used_by or revoked ends it."""

    token_hash: str  # sha256 of the link's token
    revision: int
    name: str  # "" = whoever opens it chooses one
    role: Role
    groups: tuple[str, ...]
    used_by: str
    revoked: bool
    author: str
    expires_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A key for programs that acts as one labeler; a later row with revoked=True ends it."""

    token_hash: str  # sha256 of the token
    labeler: str
    label: str
    revoked: bool
    expires_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordReset:
    """A link with which somebody chooses a new password; any later change of the account ends it."""

    token_hash: str  # sha256 of the link's token
    labeler: str
    author: str
    expires_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One entry of the trail: who did what to whom or what."""

    id: str
    actor: str
    action: str  # "signed in", "paused", "guidelines changed", ...
    subject: str
    detail: str
    created_at: datetime


TeamRecord = (
    Gold
    | LabelerSettings
    | Assignment
    | Setting
    | Guideline
    | Invitation
    | ApiToken
    | PasswordReset
    | Activity
)
