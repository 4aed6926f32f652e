"""The admins' routes: numbers and rounds."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException

from annotate.config import AnnotateConfig
from annotate.overview import agreement_overview, run_list, status_overview
from annotate.rounds import RoundRunner
from annotate.web_label import signed_in
from storage.records import Labeler, Role
from storage.store import Store


def admin_only(labeler: Annotated[Labeler, Depends(signed_in)]) -> Labeler:
    """The same, if an admin."""
    if labeler.role is not Role.ADMIN:
        raise HTTPException(403, "This is for admins.")
    return labeler


def guidelines_text(workspace: Path, config: AnnotateConfig) -> str:
    """The guideline file's text; "" if there is none inside the workspace."""
    file = (workspace / config.guidelines).resolve()
    if not file.is_relative_to(workspace.resolve()) or not file.is_file():
        return ""
    return file.read_text(encoding="utf-8", errors="replace")


def admin_router(store: Store, config: AnnotateConfig, runner: RoundRunner) -> APIRouter:
    """Routes for admins."""
    router = APIRouter(prefix="/api", tags=["admin"], dependencies=[Depends(admin_only)])

    @router.get("/agreement")
    def agreement() -> dict[str, Any]:
        """How much people agree, overall and one by one."""
        return agreement_overview(store, config)

    @router.get("/status")
    def status() -> dict[str, Any]:
        """Per round: prompts, responses, pairs, votes, settled; and what to do next."""
        return status_overview(store)

    @router.get("/rounds")
    def rounds() -> dict[str, Any]:
        """Runs with their events, newest first, and the child process now running."""
        return {"runs": run_list(store), "child": asdict(runner.state())}

    @router.post("/rounds/generate", status_code=202)
    def generate() -> dict[str, Any]:
        """Start sampling the next answers."""
        return asdict(runner.start("generate"))

    @router.post("/rounds/train", status_code=202)
    def train() -> dict[str, Any]:
        """Start training the next policy."""
        return asdict(runner.start("train"))

    @router.post("/rounds/evaluate", status_code=202)
    def evaluate() -> dict[str, Any]:
        """Start forming blind comparisons of the newest policy with SFT."""
        return asdict(runner.start("evaluate"))

    @router.post("/rounds/stop")
    def stop() -> dict[str, Any]:
        """Stop what is running."""
        return asdict(runner.stop())

    return router
