"""The REST routes: cards, judgments, progress; and for admins numbers and rounds.

What a labeler can fetch holds no policy, temperature, model name, score or other people's votes.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from annotate.config import AnnotateConfig
from annotate.desk import Card, Choice, Desk, Submission
from annotate.overview import agreement_overview, run_list, status_overview
from annotate.render import plain_messages, render_markdown, render_messages, visible
from annotate.rounds import RoundRunner
from storage.records import Labeler, Role, Strength, content_id
from storage.store import Store

_Key = Annotated[str, Field(min_length=8, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
_Flag = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,31}$")]


class JudgmentBody(BaseModel):
    """A decision as the browser sends it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: _Key
    presentation: Annotated[str, Field(min_length=1, max_length=100)]
    choice: Choice
    strength: Strength | None
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    rationale: Annotated[str, Field(max_length=4000)] = ""
    flags: Annotated[list[_Flag], Field(max_length=8)] = []


class UndoBody(BaseModel):
    """Take the last decision back; the key makes a retry harmless."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: _Key


def signed_in(request: Request) -> Labeler:
    """The labeler the gate found."""
    labeler: Labeler | None = request.state.labeler
    if labeler is None:
        raise HTTPException(401, "Sign in first.")
    return labeler


def admin_only(labeler: Annotated[Labeler, Depends(signed_in)]) -> Labeler:
    """The same, if an admin."""
    if labeler.role is not Role.ADMIN:
        raise HTTPException(403, "This is for admins.")
    return labeler


_Me = Annotated[Labeler, Depends(signed_in)]


def card_json(card: Card) -> dict[str, str]:
    """A card as the browser gets it: rendered, and as plain text for the raw view."""
    return {
        "presentation": card.presentation,
        "prompt_html": render_messages(card.messages),
        "left_html": render_markdown(card.left),
        "right_html": render_markdown(card.right),
        "prompt_text": plain_messages(card.messages),
        "left_text": visible(card.left),
        "right_text": visible(card.right),
    }


def guidelines_text(workspace: Path, config: AnnotateConfig) -> str:
    """The guideline file's text; "" if there is none inside the workspace."""
    file = (workspace / config.guidelines).resolve()
    if not file.is_relative_to(workspace.resolve()) or not file.is_file():
        return ""
    return file.read_text(encoding="utf-8", errors="replace")


def label_router(desk: Desk, workspace: Path, config: AnnotateConfig, *, notice: str) -> APIRouter:
    """Routes for everybody who is signed in."""
    router = APIRouter(prefix="/api", tags=["labeling"])

    @router.get("/me")
    def me(labeler: _Me) -> dict[str, str]:
        """Who is signed in."""
        return {"name": labeler.name, "role": labeler.role.value, "notice": notice}

    @router.get("/pairs")
    def pairs(
        labeler: _Me,
        count: Annotated[int, Query(ge=1, le=16)] = 4,
        have: Annotated[str, Query(max_length=8000)] = "",
    ) -> dict[str, Any]:
        """The next cards beyond those the browser has (`have`: presentations, by comma)."""
        held = [part for part in have.split(",") if part]
        cards = desk.cards(labeler.name, count=count, have=held)
        return {
            "pairs": [card_json(card) for card in cards],
            "progress": asdict(desk.progress(labeler.name)),
        }

    @router.post("/judgments")
    def judge(labeler: _Me, body: JudgmentBody) -> dict[str, Any]:
        """Store a decision; it is on disk when this answers. The same key again changes nothing."""
        progress = desk.submit(
            labeler.name,
            Submission(
                key=body.key,
                presentation=body.presentation,
                choice=body.choice,
                strength=body.strength,
                seconds=body.seconds,
                rationale=body.rationale,
                flags=tuple(body.flags),
            ),
        )
        return {"progress": asdict(progress)}

    @router.post("/undo")
    def undo(labeler: _Me, body: UndoBody) -> dict[str, Any]:
        """Withdraw the last decision and give its card back; null if there is none."""
        card = desk.undo(labeler.name, key=body.key)
        return {
            "pair": card_json(card) if card else None,
            "progress": asdict(desk.progress(labeler.name)),
        }

    @router.get("/progress")
    def progress(labeler: _Me) -> dict[str, Any]:
        """How far this person and the project are."""
        return asdict(desk.progress(labeler.name))

    @router.get("/guidelines")
    def guidelines(labeler: _Me) -> dict[str, str]:  # noqa: ARG001 - asked for to be signed in
        """The guidelines; the version goes with what is shown from now on."""
        text = guidelines_text(workspace, config)
        version = content_id("g1", text) if text else ""
        shown = render_markdown(text) if text else "<p>There are no guidelines yet.</p>"
        return {"html": shown, "version": version}

    return router


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
