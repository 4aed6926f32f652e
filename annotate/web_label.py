"""The labelers' routes: cards, judgments, own history, progress.

What can be fetched here holds no policy, temperature, model name, score or other people's votes.
"""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from annotate.access import Me
from annotate.cards import (
    MAX_EDIT_CHARS,
    Answer,
    Card,
    Choice,
    Hand,
    Submission,
    presentations_in,
    seen_decision,
)
from annotate.desk import Desk
from annotate.render import plain_messages, render_markdown, render_messages, visible
from storage import team
from storage.records import Labeler, Strength
from storage.store import Store

_EXCERPT_CHARS = 160

_Key = Annotated[str, Field(min_length=8, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
_Flag = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,31}$")]
_Shown = Annotated[str, Field(min_length=1, max_length=100)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class JudgmentBody(_Body):
    """A decision as the browser sends it; sides are as the person saw them."""

    key: _Key
    presentation: _Shown
    choice: Choice
    strength: Strength | None = None
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    rationale: Annotated[str, Field(max_length=4000)] = ""
    flags: Annotated[list[_Flag], Field(max_length=8)] = []
    criteria: Annotated[dict[str, Answer], Field(max_length=32)] = {}
    acceptable: bool | None = None
    edited_text: Annotated[str, Field(max_length=MAX_EDIT_CHARS)] = ""
    skip_reason: Annotated[str, Field(max_length=200)] = ""
    guideline: Annotated[str, Field(max_length=100)] = ""


class UndoBody(_Body):
    """Take the last decision back; the key makes a retry harmless."""

    key: _Key


class HaveBody(_Body):
    """The cards a page has."""

    have: Annotated[list[_Shown], Field(max_length=200)]


def card_json(card: Card) -> dict[str, Any]:
    """A card as the browser gets it: rendered, and as plain text for the raw view."""
    return {
        "presentation": card.presentation,
        "prompt_html": render_messages(card.messages),
        "left_html": render_markdown(card.left),
        "right_html": render_markdown(card.right),
        "prompt_text": plain_messages(card.messages),
        "left_text": visible(card.left),
        "right_text": visible(card.right),
        "qualification": card.qualification,
    }


def label_router(desk: Desk, store: Store, *, notice: str) -> APIRouter:
    """Routes for everybody who is signed in; each knows its own person's work only."""
    router = APIRouter(prefix="/api", tags=["labeling"])

    def hand_json(labeler: Labeler, hand: Hand) -> dict[str, Any]:
        return {
            "gone": hand.gone,
            "state": hand.standing.value,
            "progress": asdict(desk.progress(labeler.name)),
            "guideline": desk.guideline,
        }

    @router.get("/me")
    def me(labeler: Me) -> dict[str, Any]:
        """Who is signed in, and what this workspace asks besides which answer is better."""
        config = desk.config
        return {
            "name": labeler.name,
            "role": labeler.role.value,
            "notice": notice,
            "form": {
                "criteria": [q.model_dump() for q in config.criteria],
                "reasons": list(config.reasons),
                "skip_reasons": list(config.skip_reasons),
                "ask_acceptable": config.ask_acceptable,
                "allow_edit": config.allow_edit,
            },
        }

    @router.get("/pairs")
    def pairs(
        labeler: Me,
        count: Annotated[int, Query(ge=1, le=16)] = 4,
        have: Annotated[str, Query(max_length=8000)] = "",
    ) -> dict[str, Any]:
        """The next cards beyond those the browser has (`have`: presentations, by comma)."""
        hand = desk.hand(labeler.name, count=count, have=presentations_in(have))
        return {"pairs": [card_json(card) for card in hand.cards], **hand_json(labeler, hand)}

    @router.post("/judgments")
    def judge(labeler: Me, body: JudgmentBody) -> dict[str, Any]:
        """Store a decision; it is on disk when this answers. The same key again changes nothing.

        A new key for a pair already judged changes the decision.
        """
        given = body.model_dump() | {"flags": tuple(body.flags)}
        receipt = desk.submit(labeler.name, Submission(**given))
        feedback = receipt.feedback
        return {
            "progress": asdict(receipt.progress),
            "feedback": feedback
            and {
                "right": feedback.right,
                "expected": feedback.expected.value,
                "explanation_html": render_markdown(feedback.explanation)
                if feedback.explanation
                else "",
            },
        }

    @router.post("/undo")
    def undo(labeler: Me, body: UndoBody) -> dict[str, Any]:
        """Withdraw the last decision and give its card back; null if there is none."""
        card = desk.undo(labeler.name, key=body.key)
        return {
            "pair": card_json(card) if card else None,
            "progress": asdict(desk.progress(labeler.name)),
        }

    @router.post("/heartbeat")
    def heartbeat(labeler: Me, body: HaveBody) -> dict[str, Any]:
        """Go on holding what the page has; says what was judged elsewhere meanwhile."""
        return hand_json(labeler, desk.heartbeat(labeler.name, have=body.have))

    @router.post("/release")
    def release(labeler: Me, body: HaveBody) -> dict[str, Any]:
        """Let others have what a closing page held; a reload gets it back if it is still free."""
        desk.release(labeler.name, have=body.have)
        return {}

    @router.get("/history")
    def history(
        labeler: Me,
        count: Annotated[int, Query(ge=1, le=100)] = 20,
        before: Annotated[str, Query(max_length=64)] = "",
    ) -> dict[str, Any]:
        """Own decisions that count, newest first; `cursor` gives the next page as `before`."""
        found = desk.history(labeler.name, count=count, before=before or None)
        items = [
            {
                "presentation": shown.id,
                "prompt": visible(prompt)[:_EXCERPT_CHARS],
                "seconds": judgment.seconds,
                "at": judgment.created_at.isoformat(),
                "changed": judgment.revision > 0,
                **{
                    k: v
                    for k, v in seen_decision(judgment, shown.first_side).items()
                    if k in ("choice", "strength", "flags", "rationale")
                },
            }
            for judgment, shown, prompt in found
        ]
        return {"items": items, "cursor": found[-1][0].id if len(found) == count else None}

    @router.get("/history/{presentation}")
    def reopen(labeler: Me, presentation: str) -> dict[str, Any]:
        """An own earlier pair and what was decided; judging it again changes that."""
        card, judgment, shown = desk.reopen(labeler.name, presentation)
        return {"pair": card_json(card), "decision": seen_decision(judgment, shown.first_side)}

    @router.get("/progress")
    def progress(labeler: Me) -> dict[str, Any]:
        """How far this person and the project are."""
        return asdict(desk.progress(labeler.name))

    @router.get("/guidelines")
    def guidelines(labeler: Me) -> dict[str, Any]:  # noqa: ARG001 - asked for to be signed in
        """The guidelines in force and their version, which goes with each decision."""
        newest = next(iter(team.guidelines(store)), None)
        empty = "<p>There are no guidelines yet.</p>"
        return {
            "html": render_markdown(newest.text) if newest and newest.text.strip() else empty,
            "version": newest.id if newest else "",
            "changed_at": newest.created_at.isoformat() if newest else None,
        }

    return router
