"""What steers the work, over REST: guidelines, settings, assignments, gold pairs, the queue."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, HTTPException
from pydantic import Field

from annotate import gold, guidelines, settings
from annotate.access import Adjudicator, Admin
from annotate.assign import assign, unassign
from annotate.config import AnnotateConfig, Distribution
from annotate.desk import Desk
from annotate.web_paging import Paged
from annotate.web_team import Body as _Body
from storage import team
from storage.errors import InputError
from storage.records import Verdict
from storage.store import Store
from storage.team_records import Assignment, Gold, GoldUse, Guideline

_PairId = Annotated[str, Field(min_length=1, max_length=100)]
_Who = Annotated[str, Field(min_length=1, max_length=81)]
_Changes = Annotated[
    dict[Annotated[str, Field(max_length=40)], bool | int | float | Literal["off"] | None],
    Body(max_length=len(Distribution.model_fields)),
]


class GuidelinesBody(_Body):
    """Markdown."""

    text: Annotated[str, Field(min_length=1, max_length=guidelines.MAX_CHARS)]


class AssignmentBody(_Body):
    """Which pairs (by id, by their prompt's tag; neither is every pair) are for whom."""

    tag: Annotated[str, Field(max_length=100)] = ""
    pair_ids: list[_PairId] = Field(default_factory=list, max_length=5000)
    people: list[_Who] = Field(default_factory=list, max_length=500)
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0


class GoldBody(_Body):
    """A pair whose verdict is known: first or second as stored, tie or both_bad."""

    pair_id: _PairId
    verdict: Verdict
    use: GoldUse = GoldUse.HIDDEN
    explanation: Annotated[str, Field(max_length=4000)] = ""


class PromoteBody(_Body):
    """How many people, all agreeing, make a pair gold."""

    votes: Annotated[int, Field(ge=2, le=25)] = 3


def work_router(store: Store, config: AnnotateConfig, desk: Desk) -> APIRouter:
    """Guidelines, distribution settings and the queue."""
    router = APIRouter(prefix="/api", tags=["work"])

    @router.get("/queue")
    def queue(_me: Adjudicator) -> dict[str, int]:
        """How many pairs are where: waiting, begun, in a tie break, held, settled; votes saved."""
        return desk.queue_states()

    @router.get("/guidelines/versions")
    def versions(_admin: Admin, page: Paged) -> dict[str, Any]:
        """Every version of the guidelines with its Markdown, the one in force first."""
        return page.of(team.guidelines(store), _guideline_json)

    @router.post("/guidelines")
    def publish(admin: Admin, body: GuidelinesBody) -> dict[str, Any]:
        """Put guidelines in force; the same text again makes no new version."""
        made = guidelines.publish(store, body.text, author=admin.name)
        desk.refresh()
        return _guideline_json(made)

    @router.get("/settings")
    def in_force(_admin: Admin) -> dict[str, Any]:
        """The distribution settings in force, those of pairloop.toml, and who changed what."""
        now = settings.in_force(store, config)
        return {
            "values": {key: getattr(now, key) for key in Distribution.model_fields},
            "file": {key: getattr(config, key) for key in Distribution.model_fields},
            "changed": {
                key: {"author": row.author, "at": row.created_at.isoformat()}
                for key, row in team.settings(store).items()
                if key in Distribution.model_fields and row.value != "null"
            },
        }

    @router.put("/settings")
    def change(admin: Admin, changes: _Changes) -> dict[str, Any]:
        """Change the settings named: all or none.

        null goes back to pairloop.toml; "off" ends stop_at or daily_limit, whatever the file says.
        """
        settings.change(store, config, changes, author=admin.name)
        desk.refresh()
        return in_force(admin)

    return router


def assignment_router(store: Store, desk: Desk) -> APIRouter:
    """Which pairs are for whom, and how soon. For admins."""
    router = APIRouter(prefix="/api", tags=["assignments"])

    @router.get("/assignments")
    def listed(_admin: Admin, page: Paged) -> dict[str, Any]:
        """Every assignment, ended ones too, oldest first."""
        return page.of(team.assignments(store), _assignment_json)

    @router.post("/assignments", status_code=201)
    def make(admin: Admin, body: AssignmentBody) -> dict[str, Any]:
        """Give pairs to people or groups ("@group"), or a priority, or both."""
        made = assign(
            store,
            author=admin.name,
            tag=body.tag,
            pair_ids=body.pair_ids,
            people=body.people,
            priority=body.priority,
        )
        desk.refresh()
        return _assignment_json(made)

    @router.delete("/assignments/{assignment}")
    def end(admin: Admin, assignment: str) -> dict[str, Any]:
        """End an assignment."""
        try:
            unassign(store, assignment, author=admin.name)
        except InputError as error:
            raise HTTPException(404, str(error)) from error
        desk.refresh()
        return {}

    return router


def gold_router(store: Store, desk: Desk) -> APIRouter:
    """Pairs with a known verdict. For admins."""
    router = APIRouter(prefix="/api", tags=["gold"])

    @router.get("/gold")
    def listed(_admin: Admin, page: Paged) -> dict[str, Any]:
        """Every gold pair, retired ones too."""
        return page.of(list(team.gold_by_pair(store).values()), _gold_json)

    @router.get("/gold/results")
    def results(_admin: Admin) -> dict[str, Any]:
        """What people made of gold pairs and of their own repeated ones, and whether taste drifts."""
        return asdict(gold.gold_results(store))

    @router.post("/gold", status_code=201)
    def make(admin: Admin, body: GoldBody) -> dict[str, Any]:
        """Make a gold pair of a pair."""
        made = gold.make_gold(
            store,
            body.pair_id,
            verdict=body.verdict,
            use=body.use,
            explanation=body.explanation,
            author=admin.name,
        )
        desk.refresh()
        return _gold_json(made)

    @router.post("/gold/promote", status_code=201)
    def promote(admin: Admin, body: PromoteBody) -> dict[str, Any]:
        """Make hidden gold of the pairs on which so many people, and all of them, agree."""
        made = gold.promote_unanimous(store, votes=body.votes, author=admin.name)
        desk.refresh()
        return {"items": [_gold_json(row) for row in made]}

    @router.delete("/gold/{pair}")
    def retire(admin: Admin, pair: str) -> dict[str, Any]:
        """Show a gold pair to nobody any more."""
        try:
            gold.retire_gold(store, pair, author=admin.name)
        except InputError as error:
            raise HTTPException(404, str(error)) from error
        desk.refresh()
        return {}

    return router


def _guideline_json(row: Guideline) -> dict[str, Any]:
    return {
        "version": row.id,
        "number": row.revision + 1,
        "text": row.text,
        "author": row.author,
        "changed_at": row.created_at.isoformat(),
    }


def _assignment_json(row: Assignment) -> dict[str, Any]:
    return {
        "id": row.id,
        "tag": row.tag,
        "pair_ids": list(row.pair_ids),
        "people": list(row.people),
        "priority": row.priority,
        "active": row.active,
        "author": row.author,
        "changed_at": row.created_at.isoformat(),
    }


def _gold_json(row: Gold) -> dict[str, Any]:
    return {
        "pair_id": row.pair_id,
        "verdict": row.verdict.value,
        "use": row.use.value,
        "explanation": row.explanation,
        "source": row.source,
        "active": row.active,
        "author": row.author,
        "changed_at": row.created_at.isoformat(),
    }
