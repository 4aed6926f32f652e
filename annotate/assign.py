"""Which pairs are for whom, and how soon: a lead's assignments, by tag or by pair."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

from storage import judgments as judging
from storage import team
from storage.errors import InputError
from storage.store import Store, utc_now
from storage.team_records import Assignment, LabelerSettings
from storage.words import many

GROUP = "@"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What the assignments that cover a pair add up to.

    people: one set per assignment that names people; somebody is allowed if each has them.
    """

    priority: int = 0
    people: tuple[frozenset[str], ...] = ()

    def allows(self, identity: frozenset[str]) -> bool:
        """identity: a name and its groups as "@group"."""
        return all(allowed & identity for allowed in self.people)


def identity_of(name: str, settings: Mapping[str, LabelerSettings]) -> frozenset[str]:
    """A labeler's name and groups, as assignments name them."""
    groups = settings[name].groups if name in settings else ()
    return frozenset([name, *(GROUP + group for group in groups)])


def rules_of(
    assignments: Iterable[Assignment],
    *,
    pair_ids: Iterable[str],
    pairs_of_tag: Mapping[str, Sequence[str]],
) -> dict[str, Rule]:
    """The rule of every pair that some active assignment covers; the highest priority counts."""
    everything = list(pair_ids)
    priorities: dict[str, int] = {}
    people: defaultdict[str, list[frozenset[str]]] = defaultdict(list)
    for assignment in assignments:
        if not assignment.active:
            continue
        covered: Iterable[str] = {*assignment.pair_ids, *pairs_of_tag.get(assignment.tag, ())}
        if not assignment.tag and not assignment.pair_ids:
            covered = everything
        for pair_id in covered:
            priorities[pair_id] = max(
                priorities.get(pair_id, assignment.priority), assignment.priority
            )
            if assignment.people:
                people[pair_id].append(frozenset(assignment.people))
    return {
        pair_id: Rule(priority=priority, people=tuple(people[pair_id]))
        for pair_id, priority in priorities.items()
    }


def assign(
    store: Store,
    *,
    author: str,
    tag: str = "",
    pair_ids: Sequence[str] = (),
    people: Sequence[str] = (),
    priority: int = 0,
) -> Assignment:
    """Give pairs to people ("@group" for a group), or a priority, or both.

    Raises InputError for people and groups nobody knows, and where nothing would change.
    """
    known = set(judging.labelers(store))
    groups = {GROUP + g for s in team.labeler_settings(store).values() for g in s.groups}
    for who in people:
        if who not in known | groups:
            names = ", ".join(sorted(known | groups)) or "nobody yet"
            raise InputError(f"There is no labeler or group {who!r}. Known: {names}.")
    if not people and not priority:
        raise InputError("An assignment names people or groups, or has a priority, or both.")
    row = Assignment(
        id=uuid4().hex,
        revision=0,
        tag=tag,
        pair_ids=tuple(pair_ids),
        people=tuple(people),
        priority=priority,
        active=True,
        author=author,
        created_at=utc_now(),
    )
    store.append([row])
    what = tag or _counted(len(pair_ids))
    to = ", ".join(people) or "everybody"
    team.note(
        store, actor=author, action="assigned", subject=what, detail=f"{to}, priority {priority}"
    )
    return row


def _counted(pairs: int) -> str:
    match pairs:
        case 0:
            return "every pair"
        case 1:
            return "1 pair"
        case _:
            return many(pairs, "pair")


def unassign(store: Store, assignment_id: str, *, author: str) -> None:
    """End an assignment; raises InputError where there is none."""
    row = next((a for a in team.assignments(store) if a.id == assignment_id and a.active), None)
    if row is None:
        raise InputError(f"There is no active assignment {assignment_id!r}.")
    store.append(
        [replace(row, revision=row.revision + 1, active=False, author=author, created_at=utc_now())]
    )
    team.note(store, actor=author, action="assignment ended", subject=row.tag or row.id)
