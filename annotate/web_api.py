"""The admins' routes: agreement, where the loop stands, and the activity trail."""

from typing import Any

from fastapi import APIRouter

from annotate.access import Admin
from annotate.config import AnnotateConfig
from annotate.overview import agreement_overview, status_overview
from annotate.settings import in_force
from annotate.web_paging import Paged
from storage import team
from storage.store import Store


def admin_router(store: Store, config: AnnotateConfig) -> APIRouter:
    """Routes for admins."""
    router = APIRouter(prefix="/api", tags=["admin"])

    @router.get("/agreement")
    def agreement(_admin: Admin) -> dict[str, Any]:
        """How much people agree, overall and one by one."""
        return agreement_overview(store, in_force(store, config))

    @router.get("/status")
    def status(_admin: Admin) -> dict[str, Any]:
        """Per round: prompts, responses, pairs, votes, settled; and what to do next."""
        return status_overview(store)

    @router.get("/activity")
    def activity(_admin: Admin, page: Paged) -> dict[str, Any]:
        """Who did what to whom or what, and when; newest first."""
        found = team.activities(store, count=page.count + 1, skip=page.skip)
        items = [
            {
                "at": entry.created_at.isoformat(),
                "actor": entry.actor,
                "action": entry.action,
                "subject": entry.subject,
                "detail": entry.detail,
            }
            for entry in found[: page.count]
        ]
        return page.answer(items, more=len(found) > page.count)

    return router
