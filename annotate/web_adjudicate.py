"""The adjudicators' routes: cases, own views, then the votes, decisions and what follows of them.

Before somebody's own view of a case is stored, no answer to them holds a vote on it.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from annotate.access import Adjudicator
from annotate.adjudication import Case, Show, shown, tally
from annotate.bench import Bench, Opened, Revealed
from annotate.cards import Choice, seen_criteria, to_choice
from annotate.render import render_markdown, visible
from annotate.web_label import card_json
from annotate.web_paging import Paged
from storage.adjudication_records import Adjudication, Cause, OwnView
from storage.errors import InputError
from storage.queue_pages import Said
from storage.records import LabelerKind, Side, Strength, Verdict
from storage.team_records import GoldUse

_Key = Annotated[str, Field(min_length=8, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
_Text = Annotated[str, Field(max_length=4000)]
UNDECIDABLE = "undecidable"


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="after")
    def _whole_characters(self) -> "_Body":
        for value in self.model_dump().values():
            if isinstance(value, str) and any(0xD800 <= ord(c) <= 0xDFFF for c in value):
                raise ValueError("half of a surrogate pair is no character")
        return self


class ViewBody(_Body):
    """One's own view of a case, as the person saw it: left, right, tie or both_bad."""

    key: _Key
    choice: Choice
    strength: Strength | None = None
    note: _Text = ""
    seconds: Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)] = 0.0


class DecisionBody(_Body):
    """left, right, tie, both_bad or undecidable, why people disagreed, and a note on why so."""

    key: _Key
    choice: Annotated[str, Field(pattern=f"^(left|right|tie|both_bad|{UNDECIDABLE})$")]
    cause: Cause
    note: _Text = ""


class KeyBody(_Body):
    """A fresh key makes a retry harmless."""

    key: _Key


class NoteBody(_Body):
    """Something to say beside a case."""

    key: _Key
    text: Annotated[str, Field(min_length=1, max_length=4000)]


class GoldUseBody(_Body):
    """What the gold pair is for."""

    use: GoldUse = GoldUse.HIDDEN


def adjudication_router(bench: Bench) -> APIRouter:
    """Routes for adjudicators and admins."""
    router = APIRouter(prefix="/api/adjudication", tags=["adjudication"])

    def known(pair: str) -> str:
        try:
            bench.pair(pair)
        except InputError as error:
            raise HTTPException(404, str(error)) from error
        return pair

    _Case = Annotated[str, Depends(known)]

    @router.get("/cases")
    def cases(
        me: Adjudicator,
        page: Paged,
        show: Annotated[Show, Query(description="Which part of the list.")] = Show.OPEN,
    ) -> dict[str, Any]:
        """Pairs people disagreed on, the most disputed first; own ones last. No vote is in it."""
        found = bench.cases(me.name)
        labeled = bench.labeled(me.name)

        def case_json(case: Case) -> dict[str, Any]:
            return _case_json(case) | {
                "labeled": case.pair_id in labeled,
                "held_by": bench.holder(case.pair_id, me.name),
            }

        counts = {part.value: n for part, n in tally(found).items()}
        return page.of(shown(found, show), case_json) | {"counts": counts}

    @router.get("/cases/{pair}")
    def case(me: Adjudicator, pair: _Case) -> dict[str, Any]:
        """Take a case: its prompt and two answers, and nothing that was said about them."""
        return _opened_json(bench.open(me.name, pair))

    @router.post("/cases/{pair}/view")
    def view(me: Adjudicator, pair: _Case, body: ViewBody) -> dict[str, Any]:
        """Store one's own view; answers with the votes. It is given once and can't be changed."""
        if body.choice is Choice.SKIP:
            raise InputError("A skip is no view: choose left, right, tie or both_bad.")
        if body.strength is not None and body.choice not in (Choice.LEFT, Choice.RIGHT):
            raise InputError(f"A strength goes with left or right, not with {body.choice}.")
        return _revealed_json(bench.give_view(me.name, pair, **dict(body)))

    @router.get("/cases/{pair}/votes")
    def votes(me: Adjudicator, pair: _Case) -> dict[str, Any]:
        """Who said what, in the sides one sees; 409 before one's own view is stored."""
        return _revealed_json(bench.reveal(me.name, pair))

    @router.post("/cases/{pair}/decision")
    def decide(me: Adjudicator, pair: _Case, body: DecisionBody) -> dict[str, Any]:
        """Decide a case, or change the decision: it goes before the votes from now on."""
        choice = None if body.choice == UNDECIDABLE else Choice(body.choice)
        found = bench.decide(
            me.name, pair, key=body.key, choice=choice, cause=body.cause, note=body.note
        )
        return _revealed_json(found)

    @router.post("/cases/{pair}/undo")
    def undo(me: Adjudicator, pair: _Case, body: KeyBody) -> dict[str, Any]:
        """Take the decision back: the pair is up to its votes again."""
        return _revealed_json(bench.withdraw(me.name, pair, key=body.key))

    @router.post("/cases/{pair}/notes", status_code=201)
    def note(me: Adjudicator, pair: _Case, body: NoteBody) -> dict[str, int]:
        """Write a note beside a case, shown with name and time to those who gave their view."""
        return {"notes": bench.add_note(me.name, pair, key=body.key, text=body.text)}

    @router.post("/cases/{pair}/gold", status_code=201)
    def make_gold(me: Adjudicator, pair: _Case, body: GoldUseBody) -> dict[str, Any]:
        """Make a gold pair of a decided case; its note explains it in a qualification round."""
        made = bench.make_gold(me.name, pair, use=body.use)
        return {"use": made.use.value, "made_at": made.created_at.isoformat()}

    @router.post("/cases/{pair}/example", status_code=201)
    def make_example(me: Adjudicator, pair: _Case) -> dict[str, Any]:
        """Append a decided case to the guidelines as an example: a new version of them."""
        made = bench.make_example(me.name, pair)
        return {"version": made.id, "number": made.revision + 1}

    @router.post("/release")
    def release(me: Adjudicator) -> dict[str, Any]:
        """Let others have the case one was at, as when the page is closed."""
        bench.release(me.name)
        return {}

    return router


def _case_json(case: Case) -> dict[str, Any]:
    """How disputed a case is: the split says how many agreed, and not with whom or on what."""
    count, decided = case.count, case.adjudication
    return {
        "pair": case.pair_id,
        "prompt": visible(count.excerpt),
        "kind": case.kind.value if case.kind else None,
        "split": list(count.split),
        "dispute": round(case.dispute, 4),
        "flags": count.flags,
        "purpose": count.purpose.value,
        "round": count.round,
        "decided_by": decided.adjudicator if decided else None,
        "decided_at": decided.created_at.isoformat() if decided else None,
    }


def _opened_json(found: Opened) -> dict[str, Any]:
    view = found.view
    return {
        "pair": card_json(found.card),
        "labeled": found.labeled,
        "held_by": found.held_by,
        "notes": found.notes,
        "view": _view_json(view, view.first_side) if view else None,
    }


def _revealed_json(found: Revealed) -> dict[str, Any]:
    side, standing = found.first_side, found.standing
    return {
        "view": _view_json(found.view, side),
        "votes": [_vote_json(one, side) for one in found.votes],
        "views": [
            _view_json(view, side) | {"adjudicator": view.adjudicator}
            for view in found.views
            if view.adjudicator != found.view.adjudicator
        ],
        "decision": _decision_json(standing, side) if standing else None,
        "decisions": [_decision_json(one, side) for one in found.decisions],
        "notes": [
            {"author": n.author, "text": n.text, "at": n.created_at.isoformat()}
            for n in found.notes
        ],
        "gold": found.gold.use.value if found.gold else None,
    }


def _chosen(verdict: Verdict | None, side: Side) -> str:
    return UNDECIDABLE if verdict is None else to_choice(verdict, side).value


def _view_json(view: OwnView, side: Side) -> dict[str, Any]:
    return {
        "choice": _chosen(view.verdict, side),
        "strength": view.strength.value if view.strength else None,
        "note": view.note,
        "at": view.created_at.isoformat(),
    }


def _decision_json(one: Adjudication, side: Side) -> dict[str, Any]:
    return {
        "choice": _chosen(one.verdict, side),
        "cause": one.cause.value,
        "note": one.note,
        "by": one.adjudicator,
        "withdrawn": one.withdrawn,
        "at": one.created_at.isoformat(),
    }


def _vote_json(one: Said, side: Side) -> dict[str, Any]:
    model = one.kind is LabelerKind.MODEL
    return {
        "labeler": one.labeler,
        "model": model,
        "choice": _chosen(one.verdict, side),
        "strength": one.strength.value if one.strength else None,
        "rationale": one.rationale,
        "flags": list(one.flags),
        "criteria": seen_criteria(one.criteria, side),
        "edited_html": render_markdown(one.edited_text) if one.edited_text else "",
        "seconds": one.seconds,
        "guideline": one.guideline,
        "changed": one.revision > 0 and not model,
        "at": one.created_at.isoformat(),
    }
