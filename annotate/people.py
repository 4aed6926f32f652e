"""What work somebody gets: pausing, groups, limits, and being let in without qualifying."""

import re
from collections.abc import Sequence
from enum import Enum
from typing import Final

from annotate.accounts import changing, known_labeler
from storage import team
from storage.errors import InputError
from storage.store import Store, utc_now
from storage.team_records import LabelerSettings

_GROUP = re.compile(r"[^\W_][\w .-]{0,39}")
_MAX_GROUPS = 20
_MAX_LIMIT = 1_000_000


class Keep(Enum):
    """The value that leaves a limit as it is, where None means no limit."""

    KEEP = "keep"


KEEP: Final = Keep.KEEP


def settings_of(store: Store, name: str) -> LabelerSettings:
    """What work somebody gets; everything where nobody changed anything."""
    return team.labeler_settings(store).get(name) or LabelerSettings(
        name=name,
        revision=-1,
        groups=(),
        daily_limit=None,
        total_limit=None,
        paused=False,
        qualified=False,
        author="",
        created_at=utc_now(),
    )


def change_settings(
    store: Store,
    name: str,
    *,
    author: str,
    paused: bool | None = None,
    groups: Sequence[str] | None = None,
    daily_limit: int | Keep | None = KEEP,
    total_limit: int | Keep | None = KEEP,
    qualified: bool | None = None,
) -> LabelerSettings:
    """Change what is given, and leave the rest as it is; gives back what is in force now.

    Raises InputError for a name nobody has, and for groups and limits that are none.
    """
    known_labeler(store, name)
    with changing:
        before = settings_of(store, name)
        after = LabelerSettings(
            name=name,
            revision=before.revision + 1,
            groups=before.groups if groups is None else check_groups(groups),
            daily_limit=before.daily_limit if daily_limit is KEEP else _limit(daily_limit),
            total_limit=before.total_limit if total_limit is KEEP else _limit(total_limit),
            paused=before.paused if paused is None else paused,
            qualified=before.qualified if qualified is None else qualified,
            author=author,
            created_at=utc_now(),
        )
        done = _differences(before, after)
        if not done:
            return before
        store.append([after])
    for action, detail in done:
        team.note(store, actor=author, action=action, subject=name, detail=detail)
    return after


def check_groups(groups: Sequence[str]) -> tuple[str, ...]:
    """Sorted, each once; "@" is how assignments mark a group and may stand in front."""
    names = {group.strip().removeprefix("@") for group in groups}
    for group in names:
        if not _GROUP.fullmatch(group):
            raise InputError(
                f"{group!r} can't be a group: 1 to 40 letters, digits, spaces, dots or dashes."
            )
    if len(names) > _MAX_GROUPS:
        raise InputError(f"Somebody can be in {_MAX_GROUPS} groups, not in {len(names)}.")
    return tuple(sorted(names))


def _limit(limit: int | Keep | None) -> int | None:
    assert limit is not KEEP, "asked for only where the limit changes"
    if isinstance(limit, int) and not 1 <= limit <= _MAX_LIMIT:
        raise InputError(f"A limit is 1 to {_MAX_LIMIT} judgments, or none; {limit} is not.")
    return limit if isinstance(limit, int) else None


def _differences(before: LabelerSettings, after: LabelerSettings) -> list[tuple[str, str]]:
    done = []
    if before.paused != after.paused:
        done.append(("paused" if after.paused else "resumed", ""))
    if before.groups != after.groups:
        done.append(("groups changed", ", ".join(after.groups) or "none"))
    old, new = ((s.daily_limit, s.total_limit) for s in (before, after))
    if old != new:
        a_day, in_all = (limit if limit is not None else "none" for limit in new)
        done.append(("limits changed", f"a day: {a_day}, in all: {in_all}"))
    if before.qualified != after.qualified:
        done.append(("let in" if after.qualified else "must qualify", ""))
    return done
