"""The admins' routes: agreement, where the loop stands, runs, and the activity trail."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from annotate.access import Admin
from annotate.config import AnnotateConfig
from annotate.overview import agreement_overview, run_list, status_overview
from annotate.rounds import RoundRunner, start_run, stop_run
from annotate.settings import in_force
from annotate.web_paging import Paged
from storage import team
from storage.store import Store


def admin_router(store: Store, config: AnnotateConfig, runner: RoundRunner) -> APIRouter:
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

    @router.get("/rounds")
    def rounds(_admin: Admin) -> dict[str, Any]:
        """Runs with their events, newest first, and the child process now running."""
        return {"runs": run_list(store), "child": asdict(runner.state())}

    @router.post("/rounds/generate", status_code=202)
    def generate(admin: Admin) -> dict[str, Any]:
        """Start sampling the next answers."""
        return asdict(start_run(runner, store, "generate", author=admin.name))

    @router.post("/rounds/train", status_code=202)
    def train(admin: Admin) -> dict[str, Any]:
        """Start training the next policy."""
        return asdict(start_run(runner, store, "train", author=admin.name))

    @router.post("/rounds/evaluate", status_code=202)
    def evaluate(admin: Admin) -> dict[str, Any]:
        """Start forming blind comparisons of the newest policy with SFT."""
        return asdict(start_run(runner, store, "evaluate", author=admin.name))

    @router.post("/rounds/stop")
    def stop(admin: Admin) -> dict[str, Any]:
        """Stop what is running."""
        return asdict(stop_run(runner, store, author=admin.name))

    return router
