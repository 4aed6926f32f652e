"""The admins' routes about rounds: runs, the check, the rule, reports, labels worth a second look."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from fastapi import Path as InPath
from fastapi.responses import HTMLResponse

from annotate.access import Admin
from annotate.check_result import last_check
from annotate.config import AnnotateConfig, Retrain
from annotate.overview import run_list
from annotate.retrain import rule_words
from annotate.retrain_facts import look
from annotate.round_files import doubts, round_report, send_to_adjudication, verdict_now
from annotate.rounds import RoundRunner, start_run, stop_run
from storage.errors import InputError
from storage.store import Store

_Round = Annotated[int, InPath(ge=1, le=1_000_000, description="The round of a trained policy.")]


def rounds_router(
    store: Store, config: AnnotateConfig, rule: Retrain, runner: RoundRunner
) -> APIRouter:
    """Routes for admins."""
    router = APIRouter(tags=["admin"])
    workspace = runner.workspace

    @router.get("/api/rounds")
    def rounds(_admin: Admin) -> dict[str, Any]:
        """Runs with their events, newest first, the child process now running, and the rule."""
        decision = look(store, rule, config, runner=runner).decision
        return {
            "runs": run_list(store),
            "child": asdict(runner.state()),
            "rule": {
                "words": rule_words(rule),
                "starts": decision.start.value if decision.start else None,
                "why": decision.why,
            },
        }

    @router.post("/api/rounds/generate", status_code=202)
    def generate(admin: Admin) -> dict[str, Any]:
        """Start sampling the next answers."""
        return asdict(start_run(runner, store, "generate", author=admin.name))

    @router.post("/api/rounds/train", status_code=202)
    def train(admin: Admin) -> dict[str, Any]:
        """Start training the next policy."""
        return asdict(start_run(runner, store, "train", author=admin.name))

    @router.post("/api/rounds/reward", status_code=202)
    def reward(admin: Admin) -> dict[str, Any]:
        """Start training a reward model on the settled pairs; it changes no policy."""
        return asdict(start_run(runner, store, "reward", author=admin.name))

    @router.post("/api/rounds/evaluate", status_code=202)
    def evaluate(admin: Admin) -> dict[str, Any]:
        """Start forming blind comparisons of the newest policy with SFT."""
        return asdict(start_run(runner, store, "evaluate", author=admin.name))

    @router.post("/api/rounds/check", status_code=202)
    def check(admin: Admin) -> dict[str, Any]:
        """Start looking for what breaks training; GET gives what it found."""
        return asdict(start_run(runner, store, "check", author=admin.name))

    @router.get("/api/rounds/check")
    def checked(_admin: Admin) -> dict[str, Any]:
        """What the last check found."""
        found = last_check(runner)
        if found is None:
            raise HTTPException(404, "No check has ended with a result yet.")
        return {"red": found.red, "checks": found.checks, "at": found.at.isoformat()}

    @router.post("/api/rounds/stop")
    def stop(admin: Admin) -> dict[str, Any]:
        """Stop what is running; training keeps a checkpoint. Twice: at once."""
        return asdict(stop_run(runner, store, author=admin.name))

    @router.get("/api/rounds/{number}/verdict")
    def verdict(_admin: Admin, number: _Round) -> dict[str, Any]:
        """Whether the policy is worth going on with, and the labels it contradicts most.

        People's blind comparisons with SFT decide once they can tell; before, the held-out pairs.
        """
        found = verdict_now(store, workspace, number)
        if found is None:
            raise HTTPException(404, f"Round {number} has no verdict.")
        return asdict(found) | {"doubted": [asdict(d) for d in doubts(workspace, number)]}

    @router.post("/api/rounds/{number}/adjudicate")
    def adjudicate(admin: Admin, number: _Round) -> dict[str, int]:
        """Make cases of the labels that the policy contradicts most; the same again changes none."""
        ids = [doubt.pair_id for doubt in doubts(workspace, number)]
        return asdict(send_to_adjudication(store, ids, number=number, author=admin.name))

    @router.get("/api/rounds/{number}/report", response_class=HTMLResponse)
    def report(_admin: Admin, number: _Round) -> HTMLResponse:
        """The report of the round as a page that loads nothing and runs nothing."""
        try:
            return HTMLResponse(round_report(workspace, number))
        except InputError as error:
            raise HTTPException(404, str(error)) from error

    return router
